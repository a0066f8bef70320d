-- How many bookings and holds a member has that are not over, counted up to `most`: at merchants of others, for a merchant
-- fills their own calendar as they like. Their requests pass one after the other until the transaction ends, under the
-- lock that holds have always taken.
--
-- A function, because a volatile one looks with a snapshot of its own: after the lock, though within one statement with
-- the insert, it sees what the request before has committed.
CREATE FUNCTION open_bookings(member uuid, since timestamptz, most bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('holds ' || member, 0));
    RETURN (
        SELECT count(*) FROM (
            SELECT FROM booking JOIN merchant USING (merchant_id)
            WHERE member_id = member AND owner_id <> member
              AND lower(during) > since - interval '12 hours' AND upper(during) > since -- none is longer
              AND (status = 'confirmed' OR (status = 'held' AND expires_at > now()))
            LIMIT most
        ) AS ahead
    );
END
$$;
REVOKE EXECUTE ON FUNCTION open_bookings FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_bookings TO booking_app;
