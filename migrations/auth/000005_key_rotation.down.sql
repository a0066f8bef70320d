REVOKE DELETE ON signing_key FROM auth_app;
ALTER TABLE signing_key DROP COLUMN signs_from;
