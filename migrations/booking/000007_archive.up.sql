-- Where bookings go that were completed over a year ago. As JSON, so that a later migration of `booking` does
-- not stand in the way of either. `maintenance.sh weekly` may have made it before.
CREATE TABLE IF NOT EXISTS booking_archive (
    booking_id  uuid        NOT NULL,
    merchant_id uuid        NOT NULL,
    ended_at    timestamptz NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    booking     jsonb       NOT NULL,
    CONSTRAINT booking_archive_pk PRIMARY KEY (booking_id, merchant_id)
);

-- What the archive looks for.
CREATE INDEX booking_completed_end ON booking (upper(during)) WHERE status = 'completed';

-- Moves some of them and says how many. One statement moves a booking: it is never in both places, nor in
-- neither. A function of the owner, because the service itself may delete no booking.
CREATE FUNCTION archive_bookings(most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH over AS (
        SELECT booking_id, merchant_id FROM booking
        WHERE status = 'completed' AND upper(during) < now() - interval '1 year'
        ORDER BY upper(during) LIMIT most FOR UPDATE SKIP LOCKED
    ), moved AS (
        DELETE FROM booking USING over
        WHERE booking.booking_id = over.booking_id AND booking.merchant_id = over.merchant_id
        RETURNING booking.*
    ), kept AS (
        INSERT INTO booking_archive (booking_id, merchant_id, ended_at, booking)
        SELECT booking_id, merchant_id, upper(during), to_jsonb(moved) FROM moved
        RETURNING 1
    )
    SELECT count(*) FROM kept
$$;
REVOKE EXECUTE ON FUNCTION archive_bookings FROM PUBLIC;
GRANT EXECUTE ON FUNCTION archive_bookings TO booking_app;
