DROP TABLE mail_code;
REVOKE UPDATE (verified_at) ON member FROM auth_app;
ALTER TABLE member DROP COLUMN verified_at;
