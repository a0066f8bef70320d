-- Codes that go to an address by mail, and prove that whoever brings one back reads it.
ALTER TABLE member ADD COLUMN verified_at timestamptz;

-- The code itself is derived from `code_id` with a key that is not in this database.
CREATE TABLE mail_code (
    code_id    uuid        NOT NULL,
    member_id  uuid        NOT NULL,
    purpose    text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    CONSTRAINT mail_code_pk PRIMARY KEY (code_id),
    CONSTRAINT mail_code_member FOREIGN KEY (member_id) REFERENCES member,
    CONSTRAINT mail_code_purpose_known CHECK (purpose IN ('verify', 'reset'))
);
CREATE INDEX mail_code_member_id ON mail_code (member_id, purpose, created_at);
CREATE INDEX mail_code_expires_at ON mail_code (expires_at);

GRANT UPDATE (verified_at) ON member TO auth_app;
GRANT SELECT, INSERT, DELETE ON mail_code TO auth_app;
GRANT UPDATE (used_at) ON mail_code TO auth_app;
