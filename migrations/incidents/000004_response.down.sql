DROP FUNCTION forget_deliveries;
DROP TABLE heartbeat, rollback_step, rollback_run, action_reminder, action_item, postmortem, notification;
DROP INDEX alert_delivery_received_at, incident_unanswered;
ALTER TABLE incident DROP COLUMN reminders, DROP COLUMN reminded_at;
