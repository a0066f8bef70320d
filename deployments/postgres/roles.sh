#!/bin/sh
# Runs roles.sql with the passwords from /run/secrets. They reach psql on its standard input: as
# arguments they would show in `ps`.
set -eu

PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD

{
    for service in auth points booking incidents; do
        for role in owner app; do
            printf "\\set %s_%s_password '%s'\n" \
                "$service" "$role" "$(cat "/run/secrets/${service}_${role}_password")"
        done
    done
    printf '\\i %s\n' "$(dirname "$0")/roles.sql"
} | psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres
