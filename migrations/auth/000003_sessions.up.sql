-- A session outlives its access tokens: a refresh token prolongs it. And what happened to accounts.

-- Of a refresh token nothing is kept but the salt it is derived from, which is worth nothing without the
-- key that is not in this database. `generation` counts the successors: the newest may be exchanged, and
-- whoever brings an older one has a copy.
ALTER TABLE session
    ADD COLUMN refresh_salt    bytea       NOT NULL DEFAULT '\x',
    ADD COLUMN generation      integer     NOT NULL DEFAULT 0,
    ADD COLUMN device          text        NOT NULL DEFAULT '', -- what the client says it is
    ADD COLUMN rotated_at      timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN idle_expires_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN ended_at        timestamptz,
    ADD COLUMN end_reason      text,
    ADD CONSTRAINT session_generation_not_negative CHECK (generation >= 0),
    ADD CONSTRAINT session_device_length CHECK (length(device) <= 200),
    ADD CONSTRAINT session_ended_for_a_reason CHECK ((ended_at IS NULL) = (end_reason IS NULL));
ALTER TABLE session
    ALTER COLUMN refresh_salt DROP DEFAULT,
    ALTER COLUMN idle_expires_at DROP DEFAULT;
-- What the revocation feed reads: sessions that ended lately.
CREATE INDEX session_ended_at ON session (ended_at) WHERE ended_at IS NOT NULL;

-- What happened to an account, for the member and for whoever investigates. Never rewritten.
CREATE TABLE security_event (
    event_id    uuid        NOT NULL,
    kind        text        NOT NULL,
    member_id   uuid,
    session_id  uuid,       -- no reference: sessions are forgotten, events stay
    occurred_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT security_event_pk PRIMARY KEY (event_id),
    CONSTRAINT security_event_member FOREIGN KEY (member_id) REFERENCES member,
    CONSTRAINT security_event_kind_named CHECK (kind ~ '^[a-z_]{1,40}$')
);
CREATE INDEX security_event_member_id ON security_event (member_id, occurred_at);
CREATE INDEX security_event_occurred_at ON security_event (occurred_at);

GRANT UPDATE (generation, device, rotated_at, idle_expires_at, ended_at, end_reason) ON session TO auth_app;
GRANT UPDATE (hash, changed_at) ON member_password TO auth_app;
GRANT SELECT, INSERT ON security_event TO auth_app;
