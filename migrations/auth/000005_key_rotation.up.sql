-- A new signing key is published before it signs, so that whoever verifies knows it in time; an old one
-- goes when the last token it can have signed is over.
ALTER TABLE signing_key ADD COLUMN signs_from timestamptz NOT NULL DEFAULT now();
UPDATE signing_key SET signs_from = created_at;
ALTER TABLE signing_key ALTER COLUMN signs_from DROP DEFAULT;

GRANT DELETE ON signing_key TO auth_app;
