#!/bin/sh
# Runs roles.sql with the passwords from /run/secrets, in the environment: as arguments they would show
# in `ps`.
set -eu
secrets=${SECRETS_DIR:-/run/secrets}

PGPASSWORD=$(cat "$secrets/postgres_password")
AUTH_OWNER_PASSWORD=$(cat "$secrets/auth_owner_password")
AUTH_APP_PASSWORD=$(cat "$secrets/auth_app_password")
POINTS_OWNER_PASSWORD=$(cat "$secrets/points_owner_password")
POINTS_APP_PASSWORD=$(cat "$secrets/points_app_password")
BOOKING_OWNER_PASSWORD=$(cat "$secrets/booking_owner_password")
BOOKING_APP_PASSWORD=$(cat "$secrets/booking_app_password")
INCIDENTS_OWNER_PASSWORD=$(cat "$secrets/incidents_owner_password")
INCIDENTS_APP_PASSWORD=$(cat "$secrets/incidents_app_password")
export PGPASSWORD AUTH_OWNER_PASSWORD AUTH_APP_PASSWORD POINTS_OWNER_PASSWORD POINTS_APP_PASSWORD \
    BOOKING_OWNER_PASSWORD BOOKING_APP_PASSWORD INCIDENTS_OWNER_PASSWORD INCIDENTS_APP_PASSWORD

exec psql --no-psqlrc --dbname postgres --file "$(dirname "$0")/roles.sql"
