#!/usr/bin/env bash
# What is done to the databases by the calendar (docs/operations.md). Everything may be run again at any time.
#
#   maintenance.sh daily     is there a backup from today, is the log being received; holds that outlived their end
#   maintenance.sh weekly    moves bookings completed more than a year ago into booking_archive
#   maintenance.sh monthly   rebuilds the indexes that can be rebuilt beside the traffic, and analyzes
#   maintenance.sh reindex   rebuilds the index of no_overlap_bookings: nobody can book meanwhile
#
# As the superuser, with PGHOST, PGPORT and PGUSER (postgres), and the password in PGPASSWORD or PGPASSFILE.
# Ends with 1 when something is not as it should be, and says what.
set -euo pipefail
export PGUSER=${PGUSER:-postgres} PGCONNECT_TIMEOUT=10
databases=(auth points booking incidents)

say() { printf 'maintenance: %s\n' "$*"; }
in_database() { # NAME SQL
    psql --no-psqlrc --quiet --tuples-only --no-align -v ON_ERROR_STOP=1 --dbname "$1" --command "$2"
}

daily() {
    local wrong=0 last receiving released
    last=$(in_database postgres "SELECT coalesce(round(extract(epoch FROM now() - max(finished_at)) / 3600, 1), 9999) FROM operations.backup_run")
    if [ "${last%.*}" -ge 26 ]; then
        say "FAILED: the last base backup is $last hours old"
        wrong=1
    else
        say "the last base backup is $last hours old"
    fi
    receiving=$(in_database postgres "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'backup' AND active AND wal_status <> 'lost'")
    if [ "$receiving" != 1 ]; then
        say "FAILED: nobody receives the write-ahead log"
        wrong=1
    fi
    # the service does this by itself every few seconds; an hour later it is for us
    released=$(in_database booking "WITH released AS (
            UPDATE booking SET status = 'expired', version = version + 1, updated_at = now()
            WHERE status = 'held' AND expires_at < now() - interval '1 hour' RETURNING 1)
        SELECT count(*) FROM released")
    [ "$released" = 0 ] || say "released $released holds that had outlived their end by an hour: is booking's own job running?"
    return $wrong
}

weekly() {
    local moved all=0
    # In batches, so that no transaction is long.
    while true; do
        moved=$(in_database booking "SELECT archive_bookings(5000)")
        [ "$moved" != 0 ] || break
        all=$((all + moved))
    done
    say "archived $all bookings"
}

monthly() {
    local database before after
    for database in "${databases[@]}"; do
        before=$(in_database "$database" "SELECT pg_database_size('$database')")
        # beside the traffic; it skips the indexes of exclusion constraints, with a warning
        PGOPTIONS='-c client_min_messages=error' in_database "$database" "REINDEX DATABASE CONCURRENTLY $database"
        in_database "$database" "ANALYZE"
        after=$(in_database "$database" "SELECT pg_database_size('$database')")
        say "$database: $((before / 1048576)) MB before, $((after / 1048576)) MB after"
        # what a broken-off REINDEX CONCURRENTLY leaves behind
        in_database "$database" "SELECT 'maintenance: FAILED: drop the invalid index ' || indexrelid::regclass FROM pg_index WHERE NOT indisvalid"
    done
    say "not rebuilt: no_overlap_bookings, $(in_database booking "SELECT pg_size_pretty(pg_relation_size('no_overlap_bookings')) || ' beside a table of ' || pg_size_pretty(pg_relation_size('booking'))"); if it is several times as large: maintenance.sh reindex, in a quiet hour"
}

reindex() {
    local began=$SECONDS
    # Not concurrently: PostgreSQL cannot, for an exclusion constraint. Gives up after 5 s rather than
    # have every booking queue behind it while it waits for its own lock.
    PGOPTIONS='-c lock_timeout=5s -c statement_timeout=0' in_database booking "REINDEX INDEX no_overlap_bookings"
    say "no_overlap_bookings rebuilt in $((SECONDS - began)) s: $(in_database booking "SELECT pg_size_pretty(pg_relation_size('no_overlap_bookings'))")"
}

case ${1:-} in
    daily | weekly | monthly | reindex) "$1" ;;
    *)
        sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
        exit 64
        ;;
esac
