#!/usr/bin/env bash
# The restore drill: a private PostgreSQL with ROWS ledger rows (1,000,000), a base backup half way, a wrong
# DELETE at the end; then the server is killed and its data removed, and everything up to just before the
# DELETE must come back: every row, every sum, the books in balance, no damaged page, within 60 s. And with
# a file of the log missing, or a byte of the backup changed, the restore must fail and say so.
#
# Needs PostgreSQL's programs, and the user `postgres` when run by root. Touches nothing outside of its
# own temporary directory.
set -euo pipefail
cd "$(dirname "$0")/../.."
rows=${ROWS:-1000000}
limit=${LIMIT_SECONDS:-60}

say() { printf 'drill: %s\n' "$*"; }
die() {
    printf 'drill: FAILED: %s\n' "$*" >&2
    exit 1
}

# ---- a place that the server's user can reach, with what is needed from the checkout --------------

if [ -z "${DRILL_DIR:-}" ]; then
    DRILL_DIR=$(mktemp -d /var/tmp/drill.XXXXXX)
    export DRILL_DIR ROWS=$rows LIMIT_SECONDS=$limit
    mkdir -p "$DRILL_DIR/deployments" "$DRILL_DIR/migrations"
    cp -R deployments/backup deployments/postgres "$DRILL_DIR/deployments/"
    cp -R migrations/points "$DRILL_DIR/migrations/"
    # shellcheck disable=SC2329  # called by the trap
    clean_up() {
        if [ -f "$DRILL_DIR/server/postmaster.pid" ]; then
            kill -QUIT "$(head -n 1 "$DRILL_DIR/server/postmaster.pid")" 2>/dev/null || true
        fi
        if [ -f "$DRILL_DIR/receiver.pid" ]; then
            kill "$(cat "$DRILL_DIR/receiver.pid")" 2>/dev/null || true
        fi
        rm -rf "$DRILL_DIR"
    }
    trap clean_up EXIT
    if [ "$(id -u)" = 0 ]; then
        id postgres >/dev/null 2>&1 || die "root may not run PostgreSQL, and there is no user postgres"
        chown -R postgres "$DRILL_DIR"
        # not exec: what is left behind is removed here
        runuser -u postgres -- "$DRILL_DIR/deployments/backup/drill.sh"
    else
        "$DRILL_DIR/deployments/backup/drill.sh"
    fi
    exit
fi

cd "$DRILL_DIR"
for dir in /usr/lib/postgresql/*/bin /opt/homebrew/opt/postgresql@*/bin; do
    [ -x "$dir/initdb" ] && PATH=$dir:$PATH
done
command -v initdb >/dev/null || die "no initdb (Debian: apt-get install postgresql)"
data=$PWD/server
export BACKUP_DIR=$PWD/backups PGHOST=127.0.0.1 PGTZ=UTC

while port=$((20000 + RANDOM % 20000)) && (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
export PGPORT=$port

sql() { psql --no-psqlrc --quiet --tuples-only --no-align -v ON_ERROR_STOP=1 -U postgres -d "${db:-points}" "$@"; }
start() { # DATA
    pg_ctl --pgdata "$1" --silent --wait --log "$PWD/server.log" --options "-c port=$PGPORT \
        -c listen_addresses=127.0.0.1 -c unix_socket_directories=$PWD -c hba_file=$PWD/deployments/postgres/pg_hba.conf \
        -c wal_level=replica -c max_wal_size=2GB -c max_slot_wal_keep_size=2GB -c timezone=UTC" start >/dev/null
}

# ---- a server as in production ---------------------------------------------------------------------

random() { od -An -vtx1 -N16 /dev/urandom | tr -d ' \n'; }
PGPASSWORD=$(random) EXPORTER_PASSWORD=$(random) BACKUP_PASSWORD=$(random)
export PGPASSWORD EXPORTER_PASSWORD BACKUP_PASSWORD
for service in AUTH POINTS BOOKING INCIDENTS; do
    export "${service}_OWNER_PASSWORD=$(random)" "${service}_APP_PASSWORD=$(random)"
done
initdb --pgdata "$data" --username postgres --pwfile <(printf %s "$PGPASSWORD") --auth scram-sha-256 \
    --data-checksums --encoding UTF8 --no-locale --no-instructions >/dev/null
start "$data"
db=postgres sql -f deployments/postgres/roles.sql
db=postgres sql -f deployments/postgres/operators.sql
for file in migrations/points/*.up.sql; do
    PGPASSWORD=$POINTS_OWNER_PASSWORD psql -X -q -v ON_ERROR_STOP=1 -U points_owner -d points -f "$file" >/dev/null
done
printf %s "$BACKUP_PASSWORD" >password
export PGPASSWORD_FILE=$PWD/password
deployments/backup/backup.sh wal >receiver.log 2>&1 &
echo $! >receiver.pid

# ---- the ledger: each transfer has two entries ------------------------------------------------------

members=$((rows / 100)) transfers=$((rows / 2))
earn() { # FROM TO: transfers with these numbers
    sql -v from="$1" -v to="$2" -v members="$members" <<'END'
BEGIN;
CREATE TEMP TABLE made AS
    SELECT n, gen_random_uuid() AS transfer_id, md5('member' || n % :members)::uuid AS account_id, 1 + n % 97 AS amount,
           n / :members + 2 AS version FROM generate_series(:from, :to) n;
INSERT INTO transfer (transfer_id, kind, reference, occurred_at)
    SELECT transfer_id, 'earn', 'drill:' || n, now() FROM made;
-- One statement: the database refuses entries without their account, and an account without its entries.
WITH entries AS (
    INSERT INTO entry (entry_id, transfer_id, account_id, system_account, amount, account_version, balance)
        SELECT gen_random_uuid(), transfer_id, account_id, NULL, made.amount, made.version,
               earned - used - held + sum(made.amount) OVER (PARTITION BY account_id ORDER BY made.version)
        FROM made JOIN account USING (account_id)
        UNION ALL
        SELECT gen_random_uuid(), transfer_id, NULL, 'issuance', -amount, NULL, NULL FROM made)
UPDATE account SET earned = earned + s.amount, version = s.version
    FROM (SELECT account_id, sum(amount) AS amount, max(version) AS version FROM made GROUP BY 1) s
    WHERE account.account_id = s.account_id;
DROP TABLE made;
COMMIT;
END
}
sql -c "INSERT INTO account (account_id, member_id, opened_at)
        SELECT md5('member' || n)::uuid, gen_random_uuid(), now() FROM generate_series(0, $((members - 1))) n"
# What must come back: how many, how much, and each row's content.
books() {
    sql -c "SELECT count(*), sum(amount), sum(amount) FILTER (WHERE amount > 0), sum(hashtextextended(entry::text, 0)) FROM entry
            UNION ALL SELECT count(*), sum(earned), sum(version), sum(hashtextextended(account::text, 0)) FROM account"
}
began=$SECONDS
earn 0 $((transfers / 2 - 1))
deployments/backup/backup.sh base
for part in 5 6 7 8 9; do
    earn $((transfers * part / 10)) $((transfers * (part + 1) / 10 - 1))
done
sql -c 'ANALYZE'
wanted=$(books) until=$(sql -c "SELECT clock_timestamp()")
say "$(sql -c 'SELECT count(*) FROM entry') ledger rows in $((SECONDS - began)) s, half of them after the base backup"
# As the superuser, for nobody else can.
sql -c "SET session_replication_role = replica; DELETE FROM entry WHERE amount > 50;"
say "a wrong DELETE leaves $(sql -c 'SELECT count(*) FROM entry') rows"

# ---- the disaster ----------------------------------------------------------------------------------

written=$(sql -c 'SELECT pg_current_wal_flush_lsn()')
for _ in $(seq 300); do
    behind=$(sql -c "SELECT coalesce(min(pg_wal_lsn_diff('$written', flush_lsn)), 1) > 0 FROM pg_stat_replication")
    [ "$behind" = f ] && break
    sleep 0.1
done
[ "$behind" = f ] || die "the log is not received: $(tail -n 1 receiver.log)"
kill -QUIT "$(head -n 1 "$data/postmaster.pid")" # immediate: as a crash
for _ in $(seq 100); do
    [ -e "$data/postmaster.pid" ] || break
    sleep 0.1
done
kill "$(cat receiver.pid)" 2>/dev/null || true
wait 2>/dev/null || true
rm -rf "$data"
say "the server is killed and its data removed"

# ---- back -------------------------------------------------------------------------------------------

base=$(find "$BACKUP_DIR/base" -mindepth 1 -maxdepth 1 | sort | tail -n 1)
restore() { deployments/backup/restore.sh --backup "${1:-$base}" --wal "${2:-$BACKUP_DIR/wal}" --into "$data" --until "$until"; }

began=$(date +%s%N)
restore
took=$((($(date +%s%N) - began) / 1000000))
start "$data"
found=$(books)
[ "$found" = "$wanted" ] || die "the books differ: $found instead of $wanted"
[ "$(sql -c 'SELECT sum(amount) FROM entry')" = 0 ] || die "the ledger does not sum to zero"
[ -z "$(sql -c 'SELECT 1 FROM entry GROUP BY transfer_id HAVING sum(amount) <> 0 LIMIT 1')" ] || die "a transfer is out of balance"
[ -z "$(sql -c "SELECT 1 FROM account a JOIN (SELECT account_id, sum(amount) AS amount FROM entry GROUP BY 1) e USING (account_id)
    WHERE a.earned - a.used <> e.amount LIMIT 1")" ] || die "an account differs from its entries"
[ "$(sql -c 'SHOW data_checksums')" = on ] || die "data checksums are off"
pg_amcheck --install-missing --username postgres points >/dev/null || die "pg_amcheck found damage"
pg_ctl --pgdata "$data" --silent --mode immediate stop >/dev/null
rm -rf "$data"
say "every row and every sum is back, no damaged page"

# ---- and loudly not ----------------------------------------------------------------------------------

refuses() { # WHAT EXPECTED COMMAND…
    local what=$1 expected=$2 said
    shift 2
    if said=$("$@" 2>&1); then die "$what, and the restore says nothing"; fi
    grep -q "$expected" <<<"$said" || die "$what: it fails for another reason: $said"
    [ ! -e "$data" ] || die "$what: it leaves a directory that looks restored"
    rm -rf "$data.failed"
    say "$what: $(grep FAILED <<<"$said")"
}
cp -R "$BACKUP_DIR/wal" gap
middle=$(find gap -type f -name '????????????????????????' | sort | sed -n '2p')
rm "$middle"
refuses "one file of the log removed" "${middle##*/} is missing" restore "$base" "$PWD/gap"
rm -rf gap && cp -R "$BACKUP_DIR/wal" gap
find gap -type f | sort | tail -n 3 | xargs rm
refuses "the end of the log removed" "recovery ended before configured recovery target" restore "$base" "$PWD/gap"
cp -R "$base" bad
victim=$(find bad/base -type f -size +1000k | head -n 1)
printf 'XXXXXXXX' | dd of="$victim" bs=1 seek=500000 conv=notrunc 2>/dev/null
refuses "a few bytes of the backup changed" "does not match its manifest" restore "$PWD/bad"

say "recovery: $((took / 1000)).$(printf %03d $((took % 1000))) s"
[ $((took / 1000)) -lt "$limit" ] || die "slower than $limit s"
say passed
