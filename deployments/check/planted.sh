#!/usr/bin/env bash
# Tests the checks: plants one fault at a time in a copy of the tree and expects check.sh to find it.
# shellcheck disable=SC2016  # what is planted is in single quotes because it is not ours to expand
set -euo pipefail
cd "$(dirname "$0")/../.."

# they have planted-cloud.sh
export CLOUD=

copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
failed=0

fresh() {
    rm -rf "${copy:?}/tree"
    mkdir -p "$copy/tree/docs"
    cp -R docker-compose*.yml .env renovate.json rust-toolchain.toml deployments .github "$copy/tree/"
    cp -R docs/runbooks "$copy/tree/docs/"
    rm -rf "$copy/tree/deployments/secrets"
    find crates -path '*/src/*.rs' | while read -r file; do
        mkdir -p "$copy/tree/$(dirname "$file")"
        cp "$file" "$copy/tree/$file"
    done
}

expect() { # WHAT COMPLAINT COMMAND…: after COMMAND in the copy, check.sh fails and says COMPLAINT
    local what=$1 complaint=$2 output
    shift 2
    [[ $what == *${ONLY:-}* ]] || return 0 # ONLY=dashboard planted.sh: some of them
    fresh
    (cd "$copy/tree" && "$@")
    if output=$("$copy/tree/deployments/check.sh" 2>&1); then
        printf 'MISSED  %s\n' "$what"
        failed=1
    elif ! grep -qF -- "$complaint" <<<"$output"; then
        printf 'MISSED  %s: red, but not for it\n%s\n' "$what" "$output"
        failed=1
    else
        printf 'found   %s\n' "$what"
    fi
}

# shellcheck disable=SC2329  # called by `expect`
edit() { # FILE SED-EXPRESSION, which must change something
    sed -i.before "$2" "$1"
    if cmp -s "$1" "$1.before"; then
        printf 'nothing to edit in %s: %s\n' "$1" "$2"
        exit 1
    fi
    rm "$1.before"
}

rules=deployments/prometheus/rules
expect "an alert whose labels never match" "FAILED" \
    edit $rules/data.yml 's/sum by (service) (db_connections{state="max"})/db_connections{state="max"}/'
expect "a renamed metric" "no code registers the metric db_connections_total" \
    edit deployments/grafana/dashboards/overview.json 's/db_connections{/db_connections_total{/'
expect "a typo in a dashboard's PromQL" "PromQL does not parse" \
    edit deployments/grafana/dashboards/overview.json 's/sum by (status) (rate/sum by (status (rate/'
expect "an alert without severity" "has no severity" \
    edit $rules/booking.yml 's/labels: {severity: warning}/labels: {team: booking}/'
expect "a missing runbook" "there is no docs/runbooks/outbox-parked.md" \
    rm docs/runbooks/outbox-parked.md
expect "an alert without a test" "no test in which it fires" \
    edit deployments/prometheus/tests/data_test.yml 's/alertname: OutboxParked/alertname: OutboxStalled/'
expect "a mount that does not exist" "which does not exist" \
    edit docker-compose.yml 's|/loki/loki.yml:/etc|/loki/loki.yaml:/etc|'
expect "a service waiting for one that is not there" "depends on migrations" \
    edit docker-compose.yml 's/      migrate: {condition/      migrations: {condition/'
expect "a key the schema does not know" "FAIL  compose: the compose-spec schema" \
    edit docker-compose.yml 's/    mem_limit: 448m/    memlimit: 448m/'
expect "too much memory" "above 4096" \
    edit docker-compose.yml 's/mem_limit: 512m/mem_limit: 2g/'
expect "too much memory for up-min" "above 1536" \
    edit deployments/compose.min.yml 's/jaeger: {mem_limit: 240m}/jaeger: {mem_limit: 340m}/'
expect "an image that .env does not name" "is not named in .env" \
    edit docker-compose.yml 's/${LOKI_IMAGE:?}/grafana\/loki:3.7.8/'
expect "an image without a version" "has no version" \
    edit .env 's/^LOKI_IMAGE=.*/LOKI_IMAGE=grafana\/loki/'
expect "an example that does nothing" "nothing reads SMTP_URI" \
    edit docker-compose.override.example.yml 's/SMTP_URL: /SMTP_URI: /'
expect "a port open to the world" "is not on loopback" \
    edit docker-compose.yml 's/"127.0.0.1:${GRAFANA_PORT/"${GRAFANA_PORT/'
expect "a channel that has no place" "TICKET_URL is not set, and incidents cannot tell people by it" \
    edit docker-compose.yml '/TICKET_URL:/d'
expect "a secret in the compose file" "holds a secret" \
    edit docker-compose.yml 's|WEBHOOK_TOKEN_FILE: .*|WEBHOOK_TOKEN: abc|'
expect "a secret nobody makes" "differs from docker-compose.yml" \
    edit deployments/secrets.sh 's/^random alert_webhook_token/random webhook_token/'
expect "a variable nobody reads" "nothing reads POINTS_URL" \
    edit docker-compose.yml 's/POINTS_GRPC_URL/POINTS_URL/'
expect "two Rust versions" "rust-toolchain.toml says" \
    edit deployments/docker/Dockerfile 's/FROM rust:1/FROM rust:2/'
expect "a Debian to build on and another to run on" "runs on Debian 12" \
    edit deployments/docker/Dockerfile 's/cc-debian13/cc-debian12/'
expect "a Prometheus that any web page may end" "any web page may end it" \
    edit docker-compose.yml 's/      - --rules.alert.resend-delay=15s/      - --web.enable-lifecycle\n&/'
expect "an auth whose mail goes nowhere" "no code or notice of auth reaches anybody" \
    edit docker-compose.yml '/MAIL_SINK_DIR:/d'
expect "one Redis user for two services" "does not come to Redis as its own user" \
    edit docker-compose.yml 's|REDIS_URL_FILE: /run/secrets/redis_booking_url|REDIS_URL_FILE: /run/secrets/redis_points_url|'
expect "an image that the list does not name" "deployments/images.txt does not name postgres:18.7-trixie" \
    edit .env 's/^POSTGRES_IMAGE=.*/POSTGRES_IMAGE=postgres:18.7-trixie/'
expect "a pinned image that is used without its digest" "is used without the digest" \
    edit deployments/images.txt "s/^grafana\/loki:\\S*/&@sha256:$(printf '%064d' 0)/; /^grafana\/loki/s/ *# not pinned yet//"
expect "an image that is neither pinned nor said not to be" "has no digest, and does not say so" \
    edit deployments/images.txt '/^grafana\/loki/s/ *# not pinned yet//'
expect "two versions of one program" "runs elsewhere as" \
    edit deployments/k8s/overlays/dev/before/data.yaml 's/redis:8.10.1-trixie/redis:8.10.0-trixie/'
expect "an unpinned package in the Dockerfile" "FAIL  Dockerfile: hadolint" \
    edit deployments/docker/Dockerfile 's/^WORKDIR.*/RUN cd \/src/'
expect "a shell mistake" "FAIL  shell: shellcheck" \
    edit deployments/postgres/roles.sh 's/"$(dirname "$0")/$(dirname $0)/'
expect "a dashboard changed by hand" "dashboards/redis.json is not what source/ says" \
    edit deployments/grafana/dashboards/redis.json 's/"Keyspace"/"Keys looked up"/'
expect "a link to a dashboard that does not exist" "which does not exist" \
    edit deployments/grafana/dashboards/overview.json 's|/d/logs?|/d/log?|'
expect "an objective changed by hand" "is not what slo.py says" \
    edit $rules/slo.yml 's/14.4/20/'
expect "LogQL that does not parse" "LogQL does not parse" \
    edit deployments/grafana/dashboards/logs.json 's/|= \\"$contains\\"/|= $contains/'
expect "a Redis user who may read everything" "points reads a key of auth" \
    edit deployments/redis/users.acl 's/~points:\*/~*/'
expect "a service that may end sessions" "points ends a session" \
    edit deployments/redis/users.acl 's/^user points on resetkeys ~points:\*/& ~auth:{revocations}*/'
expect "alerts that go nowhere" "FAIL  alertmanager" \
    edit deployments/alertmanager/alertmanager.yml 's/  receiver: incidents/  receiver: nobody/'
exit $failed
