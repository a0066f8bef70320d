-- Who may sign in, who is signed in, and the keys that prove it.

CREATE TABLE member (
    member_id    uuid        NOT NULL,
    email        text        NOT NULL, -- canonical: lower case, no trailing dot
    display_name text        NOT NULL,
    created_at   timestamptz NOT NULL,
    CONSTRAINT member_pk PRIMARY KEY (member_id),
    CONSTRAINT member_email_unique UNIQUE (email),
    CONSTRAINT member_email_canonical CHECK (email = lower(email) AND length(email) BETWEEN 3 AND 254),
    CONSTRAINT member_display_name_length CHECK (length(display_name) BETWEEN 1 AND 100)
);

-- Apart from `member`, so that no query for a profile can carry a hash along.
CREATE TABLE member_password (
    member_id  uuid        NOT NULL,
    hash       text        NOT NULL, -- PHC string
    changed_at timestamptz NOT NULL,
    CONSTRAINT member_password_pk PRIMARY KEY (member_id),
    CONSTRAINT member_password_member FOREIGN KEY (member_id) REFERENCES member,
    CONSTRAINT member_password_is_argon2id CHECK (hash LIKE '$argon2id$v=19$%')
);

-- Roles beyond `member`, which everybody has.
CREATE TABLE member_role (
    member_id  uuid        NOT NULL,
    role       text        NOT NULL,
    granted_at timestamptz NOT NULL,
    CONSTRAINT member_role_pk PRIMARY KEY (member_id, role),
    CONSTRAINT member_role_member FOREIGN KEY (member_id) REFERENCES member,
    CONSTRAINT member_role_known CHECK (role IN ('staff', 'merchant_admin', 'operator'))
);

-- One login. Ends with its access token, until there are refresh tokens to prolong it.
CREATE TABLE session (
    session_id uuid        NOT NULL,
    member_id  uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT session_pk PRIMARY KEY (session_id),
    CONSTRAINT session_member FOREIGN KEY (member_id) REFERENCES member,
    CONSTRAINT session_ends_after_it_begins CHECK (expires_at > created_at)
);
CREATE INDEX session_expires_at ON session (expires_at);
CREATE INDEX session_member_id ON session (member_id);

-- Guesses at one address's password in the current window, whether or not the address is known.
-- A guess is reserved here before its hash is computed: counted after, parallel guesses would all pass.
CREATE TABLE login_attempt (
    account        bytea       NOT NULL, -- keyed hash of the canonical address
    reserved       integer     NOT NULL, -- guesses let through, those still being checked included
    failed         integer     NOT NULL, -- of these, known to be wrong
    window_ends_at timestamptz NOT NULL,
    CONSTRAINT login_attempt_pk PRIMARY KEY (account),
    CONSTRAINT login_attempt_account_is_sha256 CHECK (octet_length(account) = 32),
    CONSTRAINT login_attempt_counts CHECK (0 <= failed AND failed <= reserved)
);
CREATE INDEX login_attempt_window_ends_at ON login_attempt (window_ends_at);

-- The Ed25519 keys that tokens are signed with. The newest signs, all verify.
CREATE TABLE signing_key (
    kid         text        NOT NULL,
    public_key  bytea       NOT NULL,
    sealed_seed bytea       NOT NULL, -- AES-256-GCM: nonce, seed, tag
    created_at  timestamptz NOT NULL,
    CONSTRAINT signing_key_pk PRIMARY KEY (kid),
    CONSTRAINT signing_key_public_key_is_ed25519 CHECK (octet_length(public_key) = 32),
    CONSTRAINT signing_key_seed_is_sealed CHECK (octet_length(sealed_seed) = 12 + 32 + 16)
);

-- The services that may ask for a token of their own. A secret is 32 random bytes or more, so a fast
-- keyed hash keeps it.
CREATE TABLE service_client (
    client_id   text        NOT NULL,
    salt        bytea       NOT NULL,
    secret_hash bytea       NOT NULL,
    changed_at  timestamptz NOT NULL,
    CONSTRAINT service_client_pk PRIMARY KEY (client_id),
    CONSTRAINT service_client_named CHECK (client_id ~ '^[a-z][a-z0-9_-]{0,62}$'),
    CONSTRAINT service_client_hash_is_sha256 CHECK (octet_length(salt) = 16 AND octet_length(secret_hash) = 32)
);

GRANT SELECT, INSERT ON member, member_password, member_role, signing_key TO auth_app;
GRANT SELECT, INSERT, DELETE ON session TO auth_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON login_attempt TO auth_app;
GRANT SELECT, INSERT, UPDATE ON service_client TO auth_app;
