REVOKE UPDATE (during, staff_id, expires_at) ON booking FROM booking_app;
DROP INDEX booking_held_until;
UPDATE booking SET status = 'cancelled' WHERE status = 'expired';
ALTER TABLE booking
    DROP CONSTRAINT booking_status_known,
    ADD CONSTRAINT booking_status_known
        CHECK (status IN ('held', 'confirmed', 'completed', 'cancelled', 'no_show')),
    DROP COLUMN service_id, -- each with the rules that name it
    DROP COLUMN buffer_minutes,
    DROP COLUMN expires_at;
