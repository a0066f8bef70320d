DROP INDEX booking_wall_time_unrecorded;
ALTER TABLE booking
    DROP COLUMN wall_start,
    DROP COLUMN wall_zone,
    DROP COLUMN wall_of;
