-- What operates the cluster: who watches it and who copies it. Once per cluster, as superuser, after
-- roles.sql; may be run again at any time.
--
--   psql -X -f operators.sql   with EXPORTER_PASSWORD and BACKUP_PASSWORD in the environment
--
-- `exporter` reads statistics and no table of ours. `backup` may copy the whole cluster, which is as much
-- as reading everything: its password opens all databases. Neither can write, but for the record of backups.

\set ON_ERROR_STOP on
\set QUIET on
SET client_min_messages = warning;
-- A statement that fails must not put the passwords in it into the server's log.
SET log_min_error_statement = panic;
SET log_statement = none;
\getenv exporter_password EXPORTER_PASSWORD
\getenv backup_password BACKUP_PASSWORD

SELECT format('CREATE ROLE %I', role) FROM (VALUES ('exporter'), ('backup')) AS wanted (role)
    WHERE role NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE exporter LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 5
    PASSWORD :'exporter_password';
ALTER ROLE exporter SET statement_timeout = '5s';
ALTER ROLE backup LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE REPLICATION NOBYPASSRLS CONNECTION LIMIT 5
    PASSWORD :'backup_password';
GRANT pg_monitor TO exporter;
GRANT CONNECT ON DATABASE postgres TO exporter, backup;
-- For the size of each database; its tables stay closed.
SELECT format('GRANT CONNECT ON DATABASE %I TO exporter', datname) FROM pg_database
    WHERE datname IN ('auth', 'points', 'booking', 'incidents') \gexec

CREATE SCHEMA IF NOT EXISTS operations;
CREATE TABLE IF NOT EXISTS operations.backup_run (
    finished_at timestamptz NOT NULL DEFAULT now(),
    name        text        NOT NULL,
    bytes       bigint      NOT NULL,
    seconds     integer     NOT NULL,
    CONSTRAINT backup_run_pk PRIMARY KEY (name)
);
GRANT USAGE ON SCHEMA operations TO exporter, backup;
GRANT SELECT ON operations.backup_run TO exporter, backup;
GRANT INSERT ON operations.backup_run TO backup;
