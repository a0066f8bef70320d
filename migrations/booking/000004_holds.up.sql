-- A hold is a booking that ends by itself. One table, one truth: what cleans up old holds cannot free a
-- slot that is booked.

ALTER TABLE booking
    ADD COLUMN service_id     uuid,                       -- NULL: booked by its times alone
    ADD COLUMN buffer_minutes integer NOT NULL DEFAULT 0, -- the last part of `during`, the staff's own
    ADD COLUMN expires_at     timestamptz,                -- of a hold; the database's clock decides
    ADD CONSTRAINT booking_service_exists FOREIGN KEY (merchant_id, service_id) REFERENCES service,
    ADD CONSTRAINT booking_buffer_fits CHECK (
        buffer_minutes = 0
        OR (buffer_minutes > 0
            AND upper(during) - lower(during) >= (buffer_minutes + 5) * interval '1 minute')
    ),
    ADD CONSTRAINT booking_hold_expires CHECK (status <> 'held' OR expires_at IS NOT NULL),
    DROP CONSTRAINT booking_status_known,
    ADD CONSTRAINT booking_status_known
        CHECK (status IN ('held', 'confirmed', 'completed', 'cancelled', 'no_show', 'expired'));

-- What the job that ends holds looks for.
CREATE INDEX booking_held_until ON booking (expires_at) WHERE status = 'held';

-- To move a booking is to change its time and its person.
GRANT UPDATE (during, staff_id, expires_at) ON booking TO booking_app;
