-- What kit stands on: idempotency keys, the outbox and the inbox. The same in every service, except for
-- the role that may use it, which is written out so that no service's role ever gets rights elsewhere.

-- The first answer to a command, written in the command's own transaction. Kept for 72 hours.
CREATE TABLE idempotency_key (
    principal   text        NOT NULL,
    route       text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      smallint    NOT NULL,
    body        bytea       NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_key_pk PRIMARY KEY (principal, route, key),
    CONSTRAINT idempotency_key_length CHECK (length(key) BETWEEN 1 AND 255),
    CONSTRAINT idempotency_key_fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT idempotency_key_status_is_http CHECK (status BETWEEN 100 AND 599)
);
CREATE INDEX idempotency_key_created_at ON idempotency_key (created_at);

-- Events on their way out, written in the business transaction and delivered by the relay.
-- `xid` is the writing transaction: the relay reads only below the oldest one still running, because
-- positions are drawn before the commit and become visible out of order.
CREATE TABLE outbox_event (
    position        bigint      GENERATED ALWAYS AS IDENTITY,
    xid             xid8        NOT NULL DEFAULT pg_current_xact_id(),
    id              uuid        NOT NULL,
    aggregate       text        NOT NULL,
    kind            text        NOT NULL,
    payload         jsonb       NOT NULL,
    carrier         jsonb       NOT NULL DEFAULT '{}', -- trace context and baggage of the publisher
    occurred_at     timestamptz NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    delivered_at    timestamptz,
    parked_at       timestamptz,
    last_error      text,                              -- its class, never its data
    CONSTRAINT outbox_event_pk PRIMARY KEY (position),
    CONSTRAINT outbox_event_id_unique UNIQUE (id),
    CONSTRAINT outbox_event_aggregate_named CHECK (length(aggregate) BETWEEN 1 AND 255),
    CONSTRAINT outbox_event_kind_named CHECK (length(kind) BETWEEN 1 AND 255),
    CONSTRAINT outbox_event_attempts_not_negative CHECK (attempts >= 0),
    CONSTRAINT outbox_event_delivered_or_parked CHECK (delivered_at IS NULL OR parked_at IS NULL)
);
CREATE INDEX outbox_event_undelivered ON outbox_event (position) WHERE delivered_at IS NULL;
-- What holds its aggregate back: an event that failed and waits, or is parked.
CREATE INDEX outbox_event_failed ON outbox_event (aggregate, position)
    WHERE delivered_at IS NULL AND attempts > 0;
CREATE INDEX outbox_event_delivered ON outbox_event (delivered_at) WHERE delivered_at IS NOT NULL;

-- Events already handled, per consumer, written in the consumer's own transaction.
CREATE TABLE inbox_message (
    consumer    text        NOT NULL,
    event_id    uuid        NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inbox_message_pk PRIMARY KEY (consumer, event_id)
);
CREATE INDEX inbox_message_received_at ON inbox_message (received_at);

-- DELETE is for housekeeping. An answer and an event are never rewritten: only delivery is recorded.
GRANT SELECT, INSERT, DELETE ON idempotency_key, outbox_event, inbox_message TO auth_app;
GRANT UPDATE (attempts, next_attempt_at, delivered_at, parked_at, last_error) ON outbox_event TO auth_app;

-- The service compares its embedded migrations with the applied ones when it starts. The table is
-- there whenever a migrator runs this file, and not when a person feeds it to psql.
DO $$
BEGIN
    IF to_regclass('_sqlx_migrations') IS NOT NULL THEN
        GRANT SELECT ON _sqlx_migrations TO auth_app;
    END IF;
END
$$;
