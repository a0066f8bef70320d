#!/usr/bin/env bash
# Restores a backup into a new directory, up to a point in time, and leaves it recovered and stopped.
#
#   restore.sh --backup DIR/base/NAME --wal DIR/wal --into NEW [--until '2026-11-21 03:04:05+00']
#
# Run it as the user that owns the server's data. The backup is verified before its first start; the log
# must be there without a gap; whatever is missing ends it with an error and without a half restored
# directory that somebody could take for a whole one. Prints how long it took.
set -euo pipefail

die() {
    printf 'restore: FAILED: %s\n' "$*" >&2
    exit 1
}
say() { printf 'restore: %s\n' "$*"; }

backup='' wal='' into='' until=''
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || die "$1 needs a value"
    case $1 in
        --backup) backup=$2 ;;
        --wal) wal=$2 ;;
        --into) into=$2 ;;
        --until) until=$2 ;;
        *) die "unknown argument $1" ;;
    esac
    shift 2
done
[ -n "$backup" ] && [ -n "$wal" ] && [ -n "$into" ] || die "needs --backup, --wal and --into"
[ -f "$backup/backup_manifest" ] || die "$backup is no finished base backup"
[ ! -e "$into" ] || die "$into exists; restore into a new directory"
[ "$(id -u)" != 0 ] || die "PostgreSQL refuses to run as root; use its own user"

began=$SECONDS
socket=$(mktemp -d /tmp/restore.XXXXXX)
# shellcheck disable=SC2329  # called by the trap
clean_up() {
    local status=$?
    pg_ctl --pgdata "$into" --silent --mode immediate stop >/dev/null 2>&1 || true
    rm -rf "$socket"
    if [ $status -ne 0 ] && [ -d "$into" ]; then
        mv "$into" "$into.failed"
        printf 'restore: what there was is in %s; do not use it\n' "$into.failed" >&2
    fi
}
trap clean_up EXIT

# ---- the log, without a gap -----------------------------------------------------------------------

# a segment's number within its timeline: 16 MiB each, 256 to a log file number
first=$(sed -n 's/^START WAL LOCATION: .* (file \([0-9A-F]*\))$/\1/p' "$backup/backup_label")
number() { echo $((16#${1:8:8} * 256 + 16#${1:16:8})); }
expected=$(number "$first") timeline=${first:0:8} received=0
while read -r segment; do
    found=$(number "$segment")
    [ "$found" -ge "$expected" ] || continue
    [ "$found" = "$expected" ] || die "$(printf 'the log has a gap: segment %s%08X%08X is missing from %s' \
        "$timeline" $((expected / 256)) $((expected % 256)) "$wal")"
    expected=$((expected + 1)) received=$((received + 1))
done < <(find "$wal" -maxdepth 1 -name "${timeline}????????????????*" -exec basename {} \; |
    sed -n 's/^\([0-9A-F]\{24\}\)\(\.partial\)\{0,1\}$/\1/p' | sort -u)
[ "$received" -gt 0 ] || die "the log has a gap: segment $first is missing from $wal"
say "$received segments of the log, none missing"

# ---- the base -------------------------------------------------------------------------------------

cp -R "$backup" "$into"
chmod 700 "$into"
pg_verifybackup --quiet "$into" || die "the backup does not match its manifest"
say "the base backup is what its manifest says"

# ---- recovery -------------------------------------------------------------------------------------

# `until` ends up in a configuration file
[[ $until =~ ^[0-9:.+\ -]*$ ]] || die "--until is a time such as 2026-11-21 03:04:05+00"
cp "$into/postgresql.auto.conf" "$into/postgresql.auto.conf.before"
cat >>"$into/postgresql.auto.conf" <<END
restore_command = 'cp "$wal/%f" "%p" 2>/dev/null || cp "$wal/%f.partial" "%p"'
recovery_target_timeline = 'latest'
recovery_target_action = 'promote'
END
[ -z "$until" ] || echo "recovery_target_time = '$until'" >>"$into/postgresql.auto.conf"
touch "$into/recovery.signal"
# on a socket of its own, which nobody else finds: until it is proven, nobody may come in
echo 'local all all trust' >"$socket/pg_hba.conf"
me=(-h "$socket" -U postgres -d postgres)
why() { grep -E 'FATAL|PANIC' "$into/restore.log" | grep -v 'the database system is' | tail -n 1; }
pg_ctl --pgdata "$into" --silent --log "$into/restore.log" --wait --timeout 3600 --options \
    "-c listen_addresses= -c unix_socket_directories=$socket -c hba_file=$socket/pg_hba.conf -c hot_standby=on" \
    start >/dev/null 2>&1 || die "PostgreSQL gave up: $(why)"
deadline=$((SECONDS + 3600))
until [ "$(psql -X -At "${me[@]}" -c 'SELECT pg_is_in_recovery()' 2>/dev/null)" = f ]; do
    pg_ctl --pgdata "$into" status >/dev/null 2>&1 ||
        die "PostgreSQL gave up: $(why)"
    [ $SECONDS -lt $deadline ] || die "not recovered after an hour"
    sleep 0.1
done
reached=$(psql -X -At "${me[@]}" -c 'SELECT pg_last_xact_replay_timestamp()')
pg_ctl --pgdata "$into" --silent --mode fast --wait stop >/dev/null
mv "$into/postgresql.auto.conf.before" "$into/postgresql.auto.conf"
say "recovered up to the transaction of ${reached:-the backup itself}"
say "recovery took $((SECONDS - began)) s"
