-- Messages by LINE. A notification is written in the transaction of what it tells, so it is neither lost nor
-- sent for nothing; `notification_logs` is the queue and the log in one.

-- A merchant's own channel: its token opens their account at LINE, so it is sealed.
CREATE TABLE merchant_line (
    merchant_id   uuid        NOT NULL,
    channel_token bytea       NOT NULL, -- AES-256-GCM: nonce, ciphertext, tag
    updated_at    timestamptz NOT NULL,
    CONSTRAINT merchant_line_pk PRIMARY KEY (merchant_id),
    CONSTRAINT merchant_line_merchant_exists FOREIGN KEY (merchant_id) REFERENCES merchant,
    CONSTRAINT merchant_line_token_length CHECK (octet_length(channel_token) BETWEEN 29 AND 1100)
);

-- Who a member is to that channel: LINE gives each provider another id for the same person.
CREATE TABLE line_contact (
    merchant_id  uuid        NOT NULL,
    member_id    uuid        NOT NULL,
    line_user_id text        NOT NULL,
    updated_at   timestamptz NOT NULL,
    CONSTRAINT line_contact_pk PRIMARY KEY (merchant_id, member_id),
    CONSTRAINT line_contact_merchant_exists FOREIGN KEY (merchant_id) REFERENCES merchant,
    CONSTRAINT line_contact_user_id_form CHECK (line_user_id ~ '^U[0-9a-f]{32}$')
);

CREATE TABLE notification_logs (
    notification_id uuid        NOT NULL, -- also the retry key at LINE, which then sends it once
    merchant_id     uuid        NOT NULL,
    booking_id      uuid        NOT NULL,
    member_id       uuid        NOT NULL,
    kind            text        NOT NULL,
    starts_at       timestamptz NOT NULL, -- of the booking when it was told
    status          text        NOT NULL DEFAULT 'pending',
    error_reason    text,
    attempts        integer     NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    created_at      timestamptz NOT NULL DEFAULT now(),
    settled_at      timestamptz,
    CONSTRAINT notification_logs_pk PRIMARY KEY (notification_id, merchant_id),
    CONSTRAINT notification_logs_once UNIQUE (booking_id, merchant_id, kind, starts_at),
    CONSTRAINT notification_logs_kind_known CHECK (kind IN ('booked', 'reminder', 'cancelled')),
    CONSTRAINT notification_logs_status_known CHECK (status IN ('pending', 'sent', 'failed')),
    CONSTRAINT notification_logs_settled_has_time CHECK ((status = 'pending') = (settled_at IS NULL)),
    CONSTRAINT notification_logs_failure_has_reason
        CHECK (status <> 'failed' OR error_reason IS NOT NULL)
);
CREATE INDEX notification_logs_due ON notification_logs (next_attempt_at) WHERE status = 'pending';

-- What the reminder job looks for.
CREATE INDEX booking_confirmed_start ON booking (lower(during)) WHERE status = 'confirmed';

GRANT SELECT, INSERT, DELETE ON merchant_line, line_contact TO booking_app;
GRANT UPDATE (channel_token, updated_at) ON merchant_line TO booking_app;
GRANT UPDATE (line_user_id, updated_at) ON line_contact TO booking_app;
GRANT SELECT, INSERT ON notification_logs TO booking_app;
GRANT UPDATE (status, error_reason, attempts, next_attempt_at, settled_at) ON notification_logs TO booking_app;
