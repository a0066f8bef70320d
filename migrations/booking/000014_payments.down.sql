ALTER TABLE saga
    DROP COLUMN price_minor,
    DROP COLUMN currency,
    DROP COLUMN value_minor,
    DROP COLUMN grant_token;
ALTER TABLE booking
    DROP COLUMN points_value_minor,
    DROP CONSTRAINT booking_points_paid_range,
    ADD CONSTRAINT booking_points_paid_range CHECK (points_paid = 0 OR points_paid BETWEEN 1 AND price_minor) NOT VALID;
