#!/bin/sh
# Runs operators.sql with the passwords from /run/secrets, in the environment: as arguments they would show
# in `ps`.
set -eu
secrets=${SECRETS_DIR:-/run/secrets}

PGPASSWORD=$(cat "$secrets/postgres_password")
EXPORTER_PASSWORD=$(cat "$secrets/exporter_password")
BACKUP_PASSWORD=$(cat "$secrets/backup_password")
export PGPASSWORD EXPORTER_PASSWORD BACKUP_PASSWORD

exec psql --no-psqlrc --dbname postgres --file "$(dirname "$0")/operators.sql"
