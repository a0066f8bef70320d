DROP TABLE closure;
DROP TABLE working_hours;
DROP TABLE staff_service;
DROP TABLE service;
ALTER TABLE merchant DROP COLUMN currency, DROP COLUMN cancellation_notice_minutes;
