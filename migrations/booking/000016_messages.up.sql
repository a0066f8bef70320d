-- Messages about one booking leave in the order in which they were written, and none outlives what it tells.

ALTER TABLE notification_logs
    ADD COLUMN lease_until timestamptz, -- somebody is sending it until then
    -- Written while the booking is locked: by the clock, not by when the transaction began, so that they are in
    -- the order of the locks.
    ALTER COLUMN created_at SET DEFAULT clock_timestamp(),
    DROP CONSTRAINT notification_logs_kind_known,
    ADD CONSTRAINT notification_logs_kind_known
        CHECK (kind IN ('booked', 'moved', 'reminder', 'cancelled')),
    DROP CONSTRAINT notification_logs_status_known,
    ADD CONSTRAINT notification_logs_status_known
        CHECK (status IN ('pending', 'sent', 'failed', 'dropped')),
    -- A booking may be moved to a time that it had before, and each move is told.
    DROP CONSTRAINT notification_logs_once;
CREATE UNIQUE INDEX notification_logs_reminded_once
    ON notification_logs (booking_id, merchant_id, starts_at) WHERE kind = 'reminder';
CREATE INDEX notification_logs_of_booking ON notification_logs (booking_id, merchant_id, created_at);

GRANT UPDATE (lease_until, starts_at) ON notification_logs TO booking_app;

-- The codes that prove who a member is to a merchant's channel: LINE brings a code to the id that was named, and the
-- member brings it back. Kept for a day, so that asking is limited.
CREATE TABLE line_code (
    code_id      uuid        NOT NULL,
    merchant_id  uuid        NOT NULL,
    member_id    uuid        NOT NULL,
    line_user_id text        NOT NULL,
    code         bytea       NOT NULL, -- sealed like the channel's token
    tries        smallint    NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    used_at      timestamptz,
    CONSTRAINT line_code_pk PRIMARY KEY (code_id, merchant_id),
    CONSTRAINT line_code_merchant_exists FOREIGN KEY (merchant_id) REFERENCES merchant,
    CONSTRAINT line_code_user_id_form CHECK (line_user_id ~ '^U[0-9a-f]{32}$'),
    CONSTRAINT line_code_tries_limited CHECK (tries BETWEEN 0 AND 5),
    CONSTRAINT line_code_length CHECK (octet_length(code) BETWEEN 29 AND 100)
);
CREATE INDEX line_code_of_member ON line_code (merchant_id, member_id, created_at);
CREATE INDEX line_code_created_at ON line_code (created_at);
GRANT SELECT, INSERT, DELETE ON line_code TO booking_app;
GRANT UPDATE (tries, used_at) ON line_code TO booking_app;
