DROP TABLE mail_notice;
REVOKE UPDATE (display_name, disabled_at, version) ON member FROM auth_app;
ALTER TABLE member
    DROP CONSTRAINT member_version_positive,
    DROP COLUMN version,
    DROP COLUMN disabled_at;
