REVOKE UPDATE (incident_id) ON alert FROM incidents_app;
DROP TABLE incident_link, incident_check, incident_role, incident_service, incident_severity, incident_event,
    incident_counter;
DROP INDEX incident_opened_at, incident_of_cause, incident_one_per_cause, incident_open;
REVOKE UPDATE (severity, classification_uncertain) ON incident FROM incidents_app;
ALTER TABLE incident DROP CONSTRAINT incident_status_known, DROP CONSTRAINT incident_resolved_has_time;
UPDATE incident SET status = CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'resolved' END;
ALTER TABLE incident
    DROP COLUMN resolution, DROP COLUMN merged_into, DROP COLUMN resolution_breached_at,
    DROP COLUMN response_breached_at, DROP COLUMN resolution_due, DROP COLUMN response_due,
    DROP COLUMN acknowledged_at, DROP COLUMN classified_by_hand, DROP COLUMN rule, DROP COLUMN cause,
    DROP COLUMN number,
    ADD CONSTRAINT incident_status_known CHECK (status IN ('open', 'resolved')),
    ADD CONSTRAINT incident_resolved_has_time CHECK ((status = 'resolved') = (resolved_at IS NOT NULL));
CREATE INDEX incident_open ON incident (incident_id) WHERE status = 'open';
