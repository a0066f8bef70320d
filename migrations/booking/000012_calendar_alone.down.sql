DROP INDEX booking_calendar;
CREATE INDEX booking_calendar ON booking (merchant_id, staff_id, lower(during))
    INCLUDE (during, status, expires_at)
    WHERE status IN ('held', 'confirmed', 'completed');
