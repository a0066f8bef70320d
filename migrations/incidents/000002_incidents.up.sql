-- What Alertmanager told us, as it told us, and the incidents that came of it.

-- A delivery, byte for byte: jsonb would refuse U+0000, and a hostile label must not lose an alert.
-- Alertmanager repeats itself; the same bytes are kept once.
CREATE TABLE alert_delivery (
    delivery_id uuid        NOT NULL CONSTRAINT alert_delivery_pk PRIMARY KEY,
    received_at timestamptz NOT NULL,
    payload     bytea       NOT NULL,
    digest      bytea       NOT NULL GENERATED ALWAYS AS (sha256(payload)) STORED,
    CONSTRAINT alert_delivery_once UNIQUE (digest)
);

CREATE TABLE incident (
    incident_id              uuid        NOT NULL CONSTRAINT incident_pk PRIMARY KEY,
    title                    text        NOT NULL,
    severity                 text        NOT NULL,
    -- The alert did not say how severe it is, or not in words we know.
    classification_uncertain boolean     NOT NULL,
    status                   text        NOT NULL,
    service                  text        NOT NULL,
    -- Alertmanager had more alerts in this group than it sent.
    incomplete               boolean     NOT NULL,
    started_at               timestamptz NOT NULL, -- as the alert says
    opened_at                timestamptz NOT NULL, -- when we heard of it
    resolved_at              timestamptz,
    CONSTRAINT incident_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT incident_service_length CHECK (char_length(service) BETWEEN 1 AND 100),
    CONSTRAINT incident_severity_known CHECK (severity IN ('P0', 'P1', 'P2', 'P3')),
    CONSTRAINT incident_status_known CHECK (status IN ('open', 'resolved')),
    CONSTRAINT incident_resolved_has_time CHECK ((status = 'resolved') = (resolved_at IS NOT NULL)),
    CONSTRAINT incident_duration_not_negative CHECK (resolved_at >= started_at)
);
-- Ids are time-ordered: newest first is a walk down the key, of all or of the open ones.
CREATE INDEX incident_open ON incident (incident_id) WHERE status = 'open';

-- An alert is one firing of one rule on one target: fingerprint and start name it for ever, however
-- often, late or twice it is delivered. Today each has an incident of its own; alerts of one cause
-- can share one.
CREATE TABLE alert (
    fingerprint text        NOT NULL,
    starts_at   timestamptz NOT NULL,
    ends_at     timestamptz, -- while it fires, none
    -- Deferred, because the alert is written first: only a new alert opens an incident.
    incident_id uuid        NOT NULL
        CONSTRAINT alert_incident_exists REFERENCES incident DEFERRABLE INITIALLY DEFERRED,
    labels      jsonb       NOT NULL,
    annotations jsonb       NOT NULL,
    CONSTRAINT alert_once PRIMARY KEY (fingerprint, starts_at),
    CONSTRAINT alert_fingerprint_length CHECK (char_length(fingerprint) BETWEEN 1 AND 128),
    CONSTRAINT alert_duration_not_negative CHECK (ends_at >= starts_at)
);
CREATE INDEX alert_of_incident ON alert (incident_id);

GRANT SELECT, INSERT ON alert_delivery, incident, alert TO incidents_app;
GRANT UPDATE (ends_at) ON alert TO incidents_app;
GRANT UPDATE (status, resolved_at) ON incident TO incidents_app;
