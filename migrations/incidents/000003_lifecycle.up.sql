-- An incident's life: its number, its cause, who works on it, what happened when, and by when it is due.

-- The last number given out in each year.
CREATE TABLE incident_counter (
    year integer NOT NULL CONSTRAINT incident_counter_pk PRIMARY KEY,
    last integer NOT NULL,
    CONSTRAINT incident_counter_counts CHECK (last >= 0)
);

ALTER TABLE incident
    ADD COLUMN number               text,
    -- SHA-256 of what alerts of one cause have in common.
    ADD COLUMN cause                text,
    -- Which signal decided the severity.
    ADD COLUMN rule                 text NOT NULL DEFAULT 'label severity',
    -- An operator has classified it: alerts no longer do.
    ADD COLUMN classified_by_hand   boolean NOT NULL DEFAULT false,
    ADD COLUMN acknowledged_at      timestamptz,
    ADD COLUMN response_due         timestamptz,
    ADD COLUMN resolution_due       timestamptz,
    ADD COLUMN response_breached_at timestamptz,
    ADD COLUMN resolution_breached_at timestamptz,
    ADD COLUMN merged_into          uuid CONSTRAINT incident_merged_into_exists REFERENCES incident,
    ADD COLUMN resolution           text,
    DROP CONSTRAINT incident_status_known,
    DROP CONSTRAINT incident_resolved_has_time;

UPDATE incident SET number = n.number, cause = md5(n.incident_id::text) || md5(n.number),
       response_due = opened_at, resolution_due = opened_at,
       status = CASE status WHEN 'open' THEN 'investigating' ELSE status END
FROM (SELECT incident_id,
             format('INC-%s-%s', date_part('year', opened_at AT TIME ZONE 'UTC'),
                    lpad((row_number() OVER (PARTITION BY date_part('year', opened_at AT TIME ZONE 'UTC')
                                             ORDER BY incident_id))::text, 4, '0')) AS number
      FROM incident) AS n
WHERE incident.incident_id = n.incident_id;
INSERT INTO incident_counter (year, last)
SELECT date_part('year', opened_at AT TIME ZONE 'UTC'), count(*) FROM incident GROUP BY 1;

ALTER TABLE incident
    ALTER COLUMN number SET NOT NULL,
    ALTER COLUMN cause SET NOT NULL,
    ALTER COLUMN rule DROP DEFAULT,
    ALTER COLUMN response_due SET NOT NULL,
    ALTER COLUMN resolution_due SET NOT NULL,
    ADD CONSTRAINT incident_number_unique UNIQUE (number),
    ADD CONSTRAINT incident_number_form CHECK (number ~ '^INC-\d{4}-\d{4,}$'),
    ADD CONSTRAINT incident_cause_is_sha256 CHECK (cause ~ '^[0-9a-f]{64}$'),
    ADD CONSTRAINT incident_rule_length CHECK (char_length(rule) BETWEEN 1 AND 200),
    ADD CONSTRAINT incident_resolution_length CHECK (char_length(resolution) BETWEEN 1 AND 4000),
    ADD CONSTRAINT incident_status_known
        CHECK (status IN ('investigating', 'identified', 'monitoring', 'resolved', 'postmortem_done')),
    ADD CONSTRAINT incident_resolved_has_time
        CHECK ((status IN ('resolved', 'postmortem_done')) = (resolved_at IS NOT NULL)),
    ADD CONSTRAINT incident_not_merged_into_itself CHECK (merged_into <> incident_id);
DROP INDEX incident_open;
CREATE INDEX incident_open ON incident (incident_id) WHERE resolved_at IS NULL;
-- What is still burning has one incident for each cause.
CREATE UNIQUE INDEX incident_one_per_cause ON incident (cause) WHERE resolved_at IS NULL;
CREATE INDEX incident_of_cause ON incident (cause, incident_id);
CREATE INDEX incident_opened_at ON incident (opened_at);

-- What happened, as people tell it afterwards. Never changed.
CREATE TABLE incident_event (
    event_id    uuid        NOT NULL CONSTRAINT incident_event_pk PRIMARY KEY,
    incident_id uuid        NOT NULL CONSTRAINT incident_event_incident_exists REFERENCES incident,
    at          timestamptz NOT NULL, -- when it happened
    recorded_at timestamptz NOT NULL, -- when it was written down
    kind        text        NOT NULL,
    actor       uuid,                 -- none: the system itself
    text        text        NOT NULL,
    CONSTRAINT incident_event_kind_named CHECK (kind ~ '^[a-z_]{1,40}$'),
    CONSTRAINT incident_event_text_length CHECK (char_length(text) BETWEEN 1 AND 4000)
);
CREATE INDEX incident_event_of_incident ON incident_event (incident_id, at, event_id);

-- Every severity it had, with who gave it and why.
CREATE TABLE incident_severity (
    change_id   uuid        NOT NULL CONSTRAINT incident_severity_pk PRIMARY KEY,
    incident_id uuid        NOT NULL CONSTRAINT incident_severity_incident_exists REFERENCES incident,
    changed_at  timestamptz NOT NULL,
    was         text        NOT NULL,
    severity    text        NOT NULL,
    actor       uuid,
    reason      text        NOT NULL,
    CONSTRAINT incident_severity_known
        CHECK (was IN ('P0', 'P1', 'P2', 'P3') AND severity IN ('P0', 'P1', 'P2', 'P3')),
    CONSTRAINT incident_severity_reason_length CHECK (char_length(reason) BETWEEN 1 AND 500)
);
CREATE INDEX incident_severity_of_incident ON incident_severity (incident_id, change_id);

CREATE TABLE incident_service (
    incident_id uuid NOT NULL CONSTRAINT incident_service_incident_exists REFERENCES incident,
    service     text NOT NULL,
    CONSTRAINT incident_service_pk PRIMARY KEY (incident_id, service),
    CONSTRAINT incident_service_name_length CHECK (char_length(service) BETWEEN 1 AND 100)
);
INSERT INTO incident_service (incident_id, service) SELECT incident_id, service FROM incident;

CREATE TABLE incident_role (
    incident_id uuid NOT NULL CONSTRAINT incident_role_incident_exists REFERENCES incident,
    role        text NOT NULL,
    holder      text NOT NULL,
    CONSTRAINT incident_role_pk PRIMARY KEY (incident_id, role),
    CONSTRAINT incident_role_known CHECK (role IN ('commander', 'technical_lead', 'communications_lead')),
    CONSTRAINT incident_role_holder_length CHECK (char_length(holder) BETWEEN 1 AND 100)
);

-- The items themselves are the code's; what is ticked is the incident's.
CREATE TABLE incident_check (
    incident_id uuid        NOT NULL CONSTRAINT incident_check_incident_exists REFERENCES incident,
    item        text        NOT NULL,
    done_at     timestamptz NOT NULL,
    done_by     uuid        NOT NULL,
    CONSTRAINT incident_check_pk PRIMARY KEY (incident_id, item)
);

CREATE TABLE incident_link (
    incident_id uuid NOT NULL CONSTRAINT incident_link_incident_exists REFERENCES incident,
    other_id    uuid NOT NULL CONSTRAINT incident_link_other_exists REFERENCES incident,
    CONSTRAINT incident_link_pk PRIMARY KEY (incident_id, other_id),
    CONSTRAINT incident_link_of_two CHECK (incident_id < other_id)
);
CREATE INDEX incident_link_other ON incident_link (other_id);

GRANT SELECT, INSERT, UPDATE ON incident_counter TO incidents_app;
GRANT SELECT, INSERT ON incident_event, incident_severity, incident_service, incident_link TO incidents_app;
GRANT SELECT, INSERT, UPDATE (holder) ON incident_role TO incidents_app;
GRANT SELECT, INSERT, DELETE ON incident_check TO incidents_app;
GRANT UPDATE (severity, classification_uncertain, rule, classified_by_hand, acknowledged_at, response_due,
              resolution_due, response_breached_at, resolution_breached_at, merged_into, resolution)
    ON incident TO incidents_app;
-- A merge moves alerts to the incident that goes on.
GRANT UPDATE (incident_id) ON alert TO incidents_app;
