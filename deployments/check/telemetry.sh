#!/usr/bin/env bash
# The telemetry contract, on the real thing: brings the native stack up on free ports, tells its demo story,
# and asks. Every target is up; every expression of every rule and dashboard has data (or is declared quiet in
# contract.yml); every promised metric is there with exactly its labels; an alert arrives at incidents; the log
# lines of one request carry the trace id under which Jaeger has its spans.
#
# Needs `cargo build --workspace --bins`. Takes about half a minute. KEEP=1 leaves everything up.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONDONTWRITEBYTECODE=1

die() {
    printf 'telemetry: %s\n' "$*" >&2
    exit 1
}
bin=${STACK_BIN:-$(realpath -m "${CARGO_TARGET_DIR:-target}")/debug}
[ -x "$bin/stack" ] || die "no $bin/stack; run cargo build --workspace --bins"
for program in prometheus promtool jq curl python3; do
    command -v "$program" >/dev/null || die "no $program on this machine"
done
tools=${XDG_CACHE_HOME:-$HOME/.cache}/platform-check/$(cat deployments/check/requirements.txt "$(command -v python3)" | cksum | cut -d' ' -f1)
[ -e "$tools/.complete" ] || die "run deployments/check.sh once: it installs the parsers"

# below the checkout, because the stack looks for its migrations above itself
mkdir -p target
place=$(mktemp -d "$PWD/target/telemetry.XXXXXX")
chmod 755 "$place"
export STACK_DIR=$place/stack
pids=()
# shellcheck disable=SC2329  # called by the trap
clean_up() {
    status=$?
    if [ -n "${KEEP:-}" ]; then
        printf 'kept: %s\n' "$place"
        exit $status
    fi
    kill "${pids[@]}" 2>/dev/null || true
    wait "${pids[@]}" 2>/dev/null || true
    "$bin/stack" clean >/dev/null 2>&1 || true
    rm -rf "$place"
    exit $status
}
trap clean_up EXIT
background() { # NAME COMMAND…
    local name=$1
    shift
    "$@" >"$place/$name.log" 2>&1 &
    pids+=($!)
}

# ---- the stack ----------------------------------------------------------------------------------------

python3 - >"$place/ports" <<'END'
import socket
names = [f"{s}_{k}_PORT" for s in ("AUTH", "POINTS", "BOOKING", "INCIDENTS") for k in ("HTTP", "GRPC", "ADMIN")]
names += ["POSTGRES_PORT", "REDIS_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT", "JAEGER_PORT", "OTLP_GRPC_PORT"]
names += ["CHECK_PORT", "PG_EXPORTER_PORT", "REDIS_EXPORTER_PORT"]
held = []
for name in names:  # all are held until the last is found
    held.append(socket.socket())
    held[-1].bind(("127.0.0.1", 0))
    print(f"export {name}={held[-1].getsockname()[1]}")
END
# shellcheck source=/dev/null
. "$place/ports"
"$bin/stack" up >"$place/up.log" 2>&1 || { tail -n 5 "$place/up.log" >&2; die "the stack does not come up"; }

# ---- what runs beside it in Compose: exporters, and a backup ---------------------------------------------

secret() { cat "$STACK_DIR/secrets/$1"; }
for dir in /usr/lib/postgresql/*/bin; do
    [ -x "$dir/pg_receivewal" ] && PATH=$dir:$PATH
done
EXPORTER_PASSWORD=exporter-of-the-check BACKUP_PASSWORD=backup-of-the-check
export EXPORTER_PASSWORD BACKUP_PASSWORD PGHOST=127.0.0.1 PGPORT=$POSTGRES_PORT
PGPASSWORD=$(secret postgres_password) psql -X -q -U postgres -d postgres -f deployments/postgres/operators.sql
export BACKUP_DIR=$place/backup PGPASSWORD=$BACKUP_PASSWORD
background receiver deployments/backup/backup.sh wal
deployments/backup/backup.sh base >"$place/backup.log" 2>&1 || { cat "$place/backup.log"; die "no base backup"; }

missing=()
if exporter=$(command -v prometheus-postgres-exporter || command -v postgres_exporter); then
    DATA_SOURCE_URI="127.0.0.1:$POSTGRES_PORT/postgres?sslmode=disable" DATA_SOURCE_USER=exporter \
        DATA_SOURCE_PASS=$EXPORTER_PASSWORD PG_EXPORTER_EXTEND_QUERY_PATH=deployments/postgres/exporter.yml \
        background postgres-exporter "$exporter" --web.listen-address="127.0.0.1:$PG_EXPORTER_PORT"
else
    missing+=(postgres)
fi
if exporter=$(command -v prometheus-redis-exporter || command -v redis_exporter); then
    REDIS_ADDR="redis://127.0.0.1:$REDIS_PORT" REDIS_USER=exporter \
        REDIS_PASSWORD=$(secret redis_exporter_password) \
        background redis-exporter "$exporter" --web.listen-address="127.0.0.1:$REDIS_EXPORTER_PORT"
else
    missing+=(redis)
fi
export MISSING="${missing[*]-}"
[ -z "$MISSING" ] || printf 'SKIP  exporters of: %s (Debian: apt-get install prometheus-postgres-exporter prometheus-redis-exporter)\n' "$MISSING"

# ---- a Prometheus with Compose's own configuration, scraping every second --------------------------------

"$tools/bin/python" deployments/check/telemetry.py config "$place/prometheus.yml"
promtool check config --syntax-only "$place/prometheus.yml" >/dev/null
background prometheus prometheus --config.file="$place/prometheus.yml" --storage.tsdb.path="$place/tsdb" \
    --web.listen-address="127.0.0.1:$CHECK_PORT" --log.level=warn

# ---- the story -------------------------------------------------------------------------------------------

# A rate needs a sample from before and one from after.
seen() { # a QUERY that has an answer
    [ "$(curl -sS --get "http://127.0.0.1:$CHECK_PORT/api/v1/query" --data-urlencode "query=$1" 2>/dev/null | jq '.data.result | length' 2>/dev/null)" = 1 ]
}
for _ in $(seq 200); do
    seen 'count(count_over_time(up{job=~"auth|points|booking|incidents"}[5m]) >= 2) == 4' && break
    sleep 0.2
done
# A service that starts asks auth for its keys and its token: auth's gRPC panels have nothing else to show.
"$bin/stack" restart booking >"$place/restart.log" 2>&1 || die "booking does not restart"
for _ in 1 2 3; do
    "$bin/stack" demo >"$place/demo.log" 2>&1 || { tail -n 5 "$place/demo.log" >&2; die "the demo story fails"; }
    curl -sS -o /dev/null -X POST "http://127.0.0.1:$AUTH_HTTP_PORT/v1/login" -H 'content-type: application/json' \
        -d '{"email":"nobody@example.com","password":"a wrong password"}'
    curl -sS -o /dev/null "http://127.0.0.1:$INCIDENTS_HTTP_PORT/v1/incidents"
    curl -sS -o /dev/null -X POST "http://127.0.0.1:$ALERTMANAGER_PORT/api/v2/alerts" -H 'content-type: application/json' \
        -d '[{"labels":{"alertname":"CheckOfTheAlertPath","severity":"warning","service":"incidents"},
             "annotations":{"summary":"a test","description":"a test"}}]'
    sleep 1.5
done

"$tools/bin/python" deployments/check/telemetry.py verify "$place"
