DROP TABLE line_code;
DELETE FROM notification_logs WHERE kind = 'moved' OR status = 'dropped';
DELETE FROM notification_logs log USING notification_logs earlier
    WHERE log.booking_id = earlier.booking_id AND log.merchant_id = earlier.merchant_id AND log.kind = earlier.kind
      AND log.starts_at = earlier.starts_at
      AND (log.created_at, log.notification_id) > (earlier.created_at, earlier.notification_id);
DROP INDEX notification_logs_reminded_once;
DROP INDEX notification_logs_of_booking;
ALTER TABLE notification_logs
    DROP COLUMN lease_until,
    ALTER COLUMN created_at SET DEFAULT now(),
    DROP CONSTRAINT notification_logs_kind_known,
    ADD CONSTRAINT notification_logs_kind_known CHECK (kind IN ('booked', 'reminder', 'cancelled')),
    DROP CONSTRAINT notification_logs_status_known,
    ADD CONSTRAINT notification_logs_status_known CHECK (status IN ('pending', 'sent', 'failed')),
    ADD CONSTRAINT notification_logs_once UNIQUE (booking_id, merchant_id, kind, starts_at);
REVOKE UPDATE (starts_at) ON notification_logs FROM booking_app;
