ALTER TABLE transfer DROP COLUMN event_id;
