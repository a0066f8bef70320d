-- Accounts that an operator has closed, profiles that change, and mail about what happened to an account.
ALTER TABLE member
    ADD COLUMN disabled_at timestamptz,
    ADD COLUMN version     bigint NOT NULL DEFAULT 1, -- counts the changes of what a member sees of themselves
    ADD CONSTRAINT member_version_positive CHECK (version > 0);

-- A notice names a member; whoever delivers it looks up the address. No address passes through the outbox.
CREATE TABLE mail_notice (
    notice_id  uuid        NOT NULL,
    member_id  uuid        NOT NULL,
    kind       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT mail_notice_pk PRIMARY KEY (notice_id),
    CONSTRAINT mail_notice_member FOREIGN KEY (member_id) REFERENCES member,
    CONSTRAINT mail_notice_kind_known CHECK (
        kind IN ('password_changed', 'session_copied', 'account_disabled', 'account_enabled', 'sign_in_locked')
    )
);
CREATE INDEX mail_notice_member_id ON mail_notice (member_id, kind, created_at);
CREATE INDEX mail_notice_created_at ON mail_notice (created_at);

GRANT UPDATE (display_name, disabled_at, version) ON member TO auth_app;
GRANT SELECT, INSERT, DELETE ON mail_notice TO auth_app;
