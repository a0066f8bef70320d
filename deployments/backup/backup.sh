#!/usr/bin/env bash
# Backups of a whole PostgreSQL cluster: a base backup every day, and the write-ahead log as it is written.
#
#   backup.sh run      both, for ever: what the container does
#   backup.sh wal      receive the log until ended
#   backup.sh base     one base backup now: copied, verified, recorded; old ones removed
#
# Reads PGHOST, PGPORT, PGUSER (backup), the password from PGPASSWORD_FILE; BACKUP_DIR, where base/ and wal/
# are; BACKUP_KEEP, how many base backups stay (7); BACKUP_HOUR (2), when `run` makes them, UTC.
#
# The log is streamed through a replication slot instead of copied by the server's archive_command: what
# was committed a moment ago is already here, and the server keeps what we have not got yet.
set -euo pipefail

: "${BACKUP_DIR:?where the backups are}" "${BACKUP_KEEP:=7}" "${BACKUP_HOUR:=2}"
export PGUSER=${PGUSER:-backup} PGCONNECT_TIMEOUT=10
if [ -n "${PGPASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$PGPASSWORD_FILE")
    export PGPASSWORD
fi
umask 077
mkdir -p "$BACKUP_DIR/base" "$BACKUP_DIR/wal"

say() { printf '%s backup: %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*"; }

receive() {
    pg_receivewal --directory "$BACKUP_DIR/wal" --slot backup --create-slot --if-not-exists
    exec pg_receivewal --directory "$BACKUP_DIR/wal" --slot backup --synchronous
}

# The names of finished base backups, oldest first.
finished() { find "$BACKUP_DIR/base" -mindepth 1 -maxdepth 1 -type d -name '*Z' | sort; }

base() {
    local name began new bytes seconds oldest first
    name=$(date -u +%Y%m%dT%H%M%SZ) began=$SECONDS
    new=$BACKUP_DIR/base/$name.unfinished
    rm -rf "$BACKUP_DIR"/base/*.unfinished
    # with the log it needs, so that each can be restored by itself
    pg_basebackup --pgdata "$new" --checkpoint fast --wal-method stream --manifest-checksums SHA256
    # a backup that was never read back is a hope
    pg_verifybackup --quiet "$new"
    mv "$new" "$BACKUP_DIR/base/$name"
    bytes=$(du -sk "$BACKUP_DIR/base/$name" | cut -f1)000
    seconds=$((SECONDS - began))
    psql --no-psqlrc --quiet --dbname postgres -v ON_ERROR_STOP=1 -v name="$name" -v bytes="$bytes" -v seconds="$seconds" <<<\
        "INSERT INTO operations.backup_run (name, bytes, seconds) VALUES (:'name', :'bytes', :'seconds');"
    say "base backup $name: $((bytes / 1000000)) MB, verified, $seconds s"

    finished | head -n -"$BACKUP_KEEP" | while read -r old; do
        rm -rf "$old"
        say "removed ${old##*/}"
    done
    # the log before the oldest backup that is left leads nowhere
    oldest=$(finished | head -n 1)
    first=$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' "$oldest/backup_label")
    pg_archivecleanup "$BACKUP_DIR/wal" "$first"
}

# True when the newest base backup is older than a day.
due() {
    local newest
    newest=$(finished | tail -n 1)
    [ -z "$newest" ] || [ -n "$(find "$newest" -maxdepth 0 -mmin +1500)" ] ||
        { [ "$(date -u +%-H)" = "$BACKUP_HOUR" ] && [ -n "$(find "$newest" -maxdepth 0 -mmin +120)" ]; }
}

run() {
    local receiver=
    trap 'kill "$receiver" 2>/dev/null || true; exit 0' TERM INT
    while true; do
        if [ -z "$receiver" ] || ! kill -0 "$receiver" 2>/dev/null; then
            "$0" wal &
            receiver=$!
        fi
        if due && ! base; then
            say "FAILED: the base backup; tried again in 5 minutes"
            sleep 240 &
            wait $!
        fi
        sleep 60 &
        wait $!
    done
}

case ${1:-} in
    run) run ;;
    wal) receive ;;
    base) base ;;
    *)
        sed -n '2,/^set /s/^# \{0,1\}//p' "$0" >&2
        exit 64
        ;;
esac
