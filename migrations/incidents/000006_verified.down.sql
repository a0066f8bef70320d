DROP TABLE watched_day;
ALTER TABLE alert DROP COLUMN known_labels, DROP COLUMN known_annotations;
ALTER TABLE incident DROP COLUMN verified;
