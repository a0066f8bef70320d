DROP TABLE saga_step;
DROP TABLE saga;
ALTER TABLE booking DROP COLUMN points_paid;
