ALTER TABLE service DROP COLUMN version;
