-- Each requester of codes has a share of the mails that one member may get, so that a stranger does not use up the
-- owner's. A keyed hash of the network or of the device that asked; empty when the version before wrote it.
ALTER TABLE mail_code
    ADD COLUMN requester bytea NOT NULL DEFAULT '\x',
    ADD CONSTRAINT mail_code_requester_is_sha256 CHECK (octet_length(requester) IN (0, 32));

-- Devices on which a member has signed in: strangers' wrong guesses do not lock them out. The token that a
-- device brings back is derived from `device_id` with a key that is not in this database.
CREATE TABLE known_device (
    device_id   uuid        NOT NULL,
    member_id   uuid        NOT NULL,
    password_of timestamptz NOT NULL, -- `changed_at` of the password it signed in with; another one ends it
    used_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT known_device_pk PRIMARY KEY (device_id),
    CONSTRAINT known_device_member FOREIGN KEY (member_id) REFERENCES member ON DELETE CASCADE
);
CREATE INDEX known_device_member_id ON known_device (member_id, used_at DESC, device_id DESC);
CREATE INDEX known_device_used_at ON known_device (used_at);

GRANT SELECT, INSERT, DELETE ON known_device TO auth_app;
GRANT UPDATE (password_of, used_at) ON known_device TO auth_app;
