-- An appointment is a promise of the merchant's wall clock. What was promised is kept beside the instant, so that a
-- country that changes its clocks moves the instant, and not the appointment.
ALTER TABLE booking
    ADD COLUMN wall_start timestamp,   -- what the clock was to show at the start
    ADD COLUMN wall_zone  text,        -- whose rules that clock follows
    ADD COLUMN wall_of    timestamptz, -- the start it was derived from; another start than the booking's: not recorded
    ADD CONSTRAINT booking_wall_time_whole
        CHECK ((wall_start IS NULL) = (wall_zone IS NULL) AND (wall_start IS NULL) = (wall_of IS NULL));
GRANT UPDATE (wall_start, wall_zone, wall_of) ON booking TO booking_app;

-- Bookings from before, and those of the version that still runs beside this migration: a job records theirs.
CREATE INDEX booking_wall_time_unrecorded ON booking (booking_id)
    WHERE wall_of IS DISTINCT FROM lower(during) AND status IN ('held', 'confirmed');
