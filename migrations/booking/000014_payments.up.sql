-- Points have a worth of their own, and a payment proves that its member asked for it.

-- A booking says what its points paid of the price. NULL is from the version before: one point paid one minor unit.
ALTER TABLE booking
    ADD COLUMN points_value_minor bigint,
    DROP CONSTRAINT booking_points_paid_range,
    ADD CONSTRAINT booking_points_paid_range CHECK (points_paid BETWEEN 0 AND 1000000000),
    ADD CONSTRAINT booking_points_value_range CHECK (
        CASE WHEN points_paid > 0 THEN COALESCE(points_value_minor, points_paid) BETWEEN 1 AND price_minor
             ELSE COALESCE(points_value_minor, 0) = 0 END
    );
GRANT UPDATE (points_value_minor) ON booking TO booking_app;

-- The defaults are for what the version before opens while it still runs: it has no grant, so points refuses it.
ALTER TABLE saga
    ADD COLUMN price_minor bigint NOT NULL DEFAULT 0,  -- of the booking
    ADD COLUMN currency    text   NOT NULL DEFAULT '', -- of the price
    ADD COLUMN value_minor bigint NOT NULL DEFAULT 0,  -- what the points pay of the price; known when they are held
    ADD COLUMN grant_token text,                       -- what auth signed for this hold; gone when it is placed
    ADD CONSTRAINT saga_grant_until_held CHECK (grant_token IS NULL OR state = 'holding'),
    ADD CONSTRAINT saga_grant_length CHECK (length(grant_token) BETWEEN 1 AND 4096);
GRANT UPDATE (value_minor, grant_token) ON saga TO booking_app;
