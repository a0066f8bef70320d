-- The response: who was told, what is learned, what is followed up, what is rolled back, who is silent.

-- A P0 that nobody acknowledges is told again, ever more rarely.
ALTER TABLE incident
    ADD COLUMN reminded_at timestamptz,
    ADD COLUMN reminders   integer NOT NULL DEFAULT 0,
    ADD CONSTRAINT incident_reminders_not_negative CHECK (reminders >= 0);
CREATE INDEX incident_unanswered ON incident (incident_id)
    WHERE resolved_at IS NULL AND acknowledged_at IS NULL;

-- What a channel has taken. The message itself went through the outbox; this stays.
CREATE TABLE notification (
    notification_id uuid        NOT NULL CONSTRAINT notification_pk PRIMARY KEY, -- the outbox event's id
    incident_id     uuid        CONSTRAINT notification_incident_exists REFERENCES incident,
    channel         text        NOT NULL,
    kind            text        NOT NULL,
    sent_at         timestamptz NOT NULL,
    CONSTRAINT notification_channel_named CHECK (channel ~ '^[a-z-]{1,40}$'),
    CONSTRAINT notification_kind_named CHECK (kind ~ '^[a-z_]{1,40}$')
);
CREATE INDEX notification_of_incident ON notification (incident_id, sent_at);

CREATE TABLE postmortem (
    incident_id uuid        NOT NULL CONSTRAINT postmortem_pk PRIMARY KEY
        CONSTRAINT postmortem_incident_exists REFERENCES incident,
    body        text        NOT NULL,
    -- Two editors must not overwrite each other unseen.
    version     integer     NOT NULL,
    edited_at   timestamptz NOT NULL,
    edited_by   uuid        NOT NULL,
    CONSTRAINT postmortem_body_length CHECK (char_length(body) BETWEEN 1 AND 40000),
    CONSTRAINT postmortem_version_counts CHECK (version >= 1)
);

-- What shall keep it from happening again.
CREATE TABLE action_item (
    action_id   uuid        NOT NULL CONSTRAINT action_item_pk PRIMARY KEY,
    incident_id uuid        NOT NULL CONSTRAINT action_item_incident_exists REFERENCES incident,
    text        text        NOT NULL,
    priority    text        NOT NULL,
    assignee    text        NOT NULL,
    due         date        NOT NULL,
    created_at  timestamptz NOT NULL,
    created_by  uuid        NOT NULL,
    done_at     timestamptz,
    done_by     uuid,
    CONSTRAINT action_item_text_length CHECK (char_length(text) BETWEEN 1 AND 500),
    CONSTRAINT action_item_priority_known CHECK (priority IN ('high', 'medium', 'low')),
    CONSTRAINT action_item_assignee_length CHECK (char_length(assignee) BETWEEN 1 AND 100),
    CONSTRAINT action_item_done_by_somebody CHECK ((done_at IS NULL) = (done_by IS NULL))
);
CREATE INDEX action_item_of_incident ON action_item (incident_id, action_id);
CREATE INDEX action_item_open ON action_item (due, action_id) WHERE done_at IS NULL;

-- Each reminder once, whatever restarts in between.
CREATE TABLE action_reminder (
    action_id uuid        NOT NULL CONSTRAINT action_reminder_action_exists REFERENCES action_item,
    stage     text        NOT NULL,
    sent_at   timestamptz NOT NULL,
    CONSTRAINT action_reminder_pk PRIMARY KEY (action_id, stage),
    CONSTRAINT action_reminder_stage_known CHECK (stage IN ('seven_days', 'three_days', 'today', 'overdue'))
);

-- A service taken back to the version before, step by step.
CREATE TABLE rollback_run (
    run_id       uuid        NOT NULL CONSTRAINT rollback_run_pk PRIMARY KEY,
    incident_id  uuid        NOT NULL CONSTRAINT rollback_run_incident_exists REFERENCES incident,
    service      text        NOT NULL,
    executor     text        NOT NULL,
    target       text,                 -- the version it goes back to, once that is known
    approved_by  uuid,                 -- none: the alert asked for it
    status       text        NOT NULL,
    attempts     integer     NOT NULL,
    started_at   timestamptz NOT NULL,
    -- While it runs, told with every step; a run that falls silent has lost its process.
    heard_at     timestamptz NOT NULL,
    ended_at     timestamptz,
    CONSTRAINT rollback_run_service_length CHECK (char_length(service) BETWEEN 1 AND 100),
    CONSTRAINT rollback_run_executor_known CHECK (executor IN ('dry-run', 'command', 'kubernetes')),
    CONSTRAINT rollback_run_status_known CHECK (status IN ('running', 'succeeded', 'failed', 'interrupted')),
    CONSTRAINT rollback_run_attempts_at_most_three CHECK (attempts BETWEEN 0 AND 3),
    CONSTRAINT rollback_run_ended CHECK ((status = 'running') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX rollback_run_one_per_service ON rollback_run (service) WHERE status = 'running';
CREATE INDEX rollback_run_of_incident ON rollback_run (incident_id, run_id);

CREATE TABLE rollback_step (
    run_id     uuid        NOT NULL CONSTRAINT rollback_step_run_exists REFERENCES rollback_run,
    attempt    integer     NOT NULL,
    step       text        NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    ok         boolean,
    detail     text        NOT NULL,
    CONSTRAINT rollback_step_pk PRIMARY KEY (run_id, attempt, step),
    CONSTRAINT rollback_step_known CHECK (step IN ('validate', 'prepare', 'perform', 'verify', 'record')),
    CONSTRAINT rollback_step_attempt CHECK (attempt BETWEEN 1 AND 3),
    CONSTRAINT rollback_step_ended CHECK ((ended_at IS NULL) = (ok IS NULL)),
    CONSTRAINT rollback_step_detail_length CHECK (char_length(detail) <= 2000)
);

-- When the alerting chain was last known to be alive.
CREATE TABLE heartbeat (
    source   text        NOT NULL CONSTRAINT heartbeat_pk PRIMARY KEY,
    heard_at timestamptz NOT NULL,
    CONSTRAINT heartbeat_source_known CHECK (source IN ('alertmanager', 'prometheus'))
);

CREATE INDEX alert_delivery_received_at ON alert_delivery (received_at);

GRANT UPDATE (reminded_at, reminders) ON incident TO incidents_app;
GRANT SELECT, INSERT ON notification, action_reminder TO incidents_app;
GRANT SELECT, INSERT, UPDATE (body, version, edited_at, edited_by) ON postmortem TO incidents_app;
GRANT SELECT, INSERT, UPDATE (done_at, done_by) ON action_item TO incidents_app;
GRANT SELECT, INSERT, UPDATE (target, status, attempts, heard_at, ended_at) ON rollback_run TO incidents_app;
GRANT SELECT, INSERT, UPDATE (ended_at, ok, detail) ON rollback_step TO incidents_app;
GRANT SELECT, INSERT, UPDATE (heard_at) ON heartbeat TO incidents_app;

-- The bytes of old deliveries are dropped, a thousand at a time; the alerts stay. A function, because
-- the role itself can take nothing back: whatever it asks for, a week is kept.
CREATE FUNCTION forget_deliveries(before timestamptz) RETURNS bigint
    LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public
AS $$
    WITH gone AS (
        DELETE FROM public.alert_delivery WHERE delivery_id = ANY (ARRAY(
            SELECT delivery_id FROM public.alert_delivery
            WHERE received_at < LEAST(before, now() - interval '7 days') LIMIT 1000))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION forget_deliveries FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_deliveries TO incidents_app;
