ALTER TABLE session DROP COLUMN audience;
