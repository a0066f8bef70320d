-- Databases and roles, once per cluster, as superuser. May be run again at any time.
--
-- Each service has a database and two roles: `<service>_owner` changes the schema (migrations only),
-- `<service>_app` is what the service runs as. Nobody reads another service's database.
--
--   psql -X -f roles.sql      with AUTH_OWNER_PASSWORD, AUTH_APP_PASSWORD, POINTS_…, BOOKING_… and
--                             INCIDENTS_… in the environment, or -v auth_owner_password=… and so on
--   -v app_connections=N      CONNECTION LIMIT of each app role; 60 unless told, -1 for none

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
-- A statement that fails must not put the passwords in it into the server's log.
SET log_min_error_statement = panic;
SET log_statement = none;

\if :{?app_connections}
\else
  \set app_connections 60
\endif
\if :{?auth_owner_password}
\else
  \getenv auth_owner_password AUTH_OWNER_PASSWORD
  \getenv auth_app_password AUTH_APP_PASSWORD
  \getenv points_owner_password POINTS_OWNER_PASSWORD
  \getenv points_app_password POINTS_APP_PASSWORD
  \getenv booking_owner_password BOOKING_OWNER_PASSWORD
  \getenv booking_app_password BOOKING_APP_PASSWORD
  \getenv incidents_owner_password INCIDENTS_OWNER_PASSWORD
  \getenv incidents_app_password INCIDENTS_APP_PASSWORD
\endif

CREATE TEMP TABLE wanted (service text, role text, password text, connections int);
INSERT INTO wanted VALUES
    ('auth',      'auth_owner',      :'auth_owner_password',      10),
    ('auth',      'auth_app',        :'auth_app_password',        :app_connections),
    ('points',    'points_owner',    :'points_owner_password',    10),
    ('points',    'points_app',      :'points_app_password',      :app_connections),
    ('booking',   'booking_owner',   :'booking_owner_password',   10),
    ('booking',   'booking_app',     :'booking_app_password',     :app_connections),
    ('incidents', 'incidents_owner', :'incidents_owner_password', 10),
    ('incidents', 'incidents_app',   :'incidents_app_password',   :app_connections);

SELECT format('CREATE ROLE %I', role) FROM wanted
    WHERE role NOT IN (SELECT rolname FROM pg_roles) \gexec
SELECT format(
    'ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT %s PASSWORD %L',
    role, connections, password) FROM wanted \gexec

-- A request has no use for a statement that takes longer, and nobody waits behind a forgotten
-- transaction. Pools keep idle sessions on purpose: idle_session_timeout stays off.
SELECT format('ALTER ROLE %I SET %s', role, setting) FROM wanted, (VALUES
    ('statement_timeout = ''2s'''),
    ('lock_timeout = ''500ms'''),
    ('idle_in_transaction_session_timeout = ''5s''')) AS limits (setting)
    WHERE role LIKE '%\_app' \gexec

SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0 ENCODING ''UTF8''', service, role)
    FROM wanted
    WHERE role LIKE '%\_owner' AND service NOT IN (SELECT datname FROM pg_database) \gexec
SELECT DISTINCT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', service) FROM wanted \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', service, role) FROM wanted
    WHERE role LIKE '%\_app' \gexec
-- `postgres` is nobody's playground either.
REVOKE ALL ON DATABASE postgres FROM PUBLIC;
DROP TABLE wanted;

-- Before PostgreSQL 15 everybody could create tables in `public`.
\connect auth
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO auth_owner;
\connect points
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO points_owner;
\connect booking
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO booking_owner;
\connect incidents
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO incidents_owner;
