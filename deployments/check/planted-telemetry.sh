#!/usr/bin/env bash
# Tests check/telemetry.sh: in a copy of the tree, one fault of each kind, all at once, and each must be named.
set -euo pipefail
cd "$(dirname "$0")/../.."

copy=$(mktemp -d "$PWD/target/planted.XXXXXX")
trap 'rm -rf "$copy"' EXIT
chmod 755 "$copy"
cp -R docker-compose.yml deployments migrations "$copy/"
rm -rf "$copy/deployments/secrets"

edit() { # FILE SED-EXPRESSION, which must change something
    sed -i.before "$2" "$copy/$1"
    if cmp -s "$copy/$1" "$copy/$1.before"; then
        printf 'nothing to edit in %s: %s\n' "$1" "$2"
        exit 1
    fi
    rm "$copy/$1.before"
}
# a metric that was renamed: the promise still has the old name
edit deployments/check/contract.yml 's/^  booking_created_total:/  bookings_created_total:/'
# a label that was renamed
edit deployments/check/contract.yml 's/labels: {endpoint: any}/labels: {route: any}/'
# a label value that was forgotten
edit deployments/check/contract.yml 's/status: \[success, failed, blocked\]/status: [success, failed]/'
# a typo in a dashboard that parses, and selects nothing
edit deployments/grafana/dashboards/booking.json 's/status=\\"overlap_error\\"/status=\\"overlap\\"/'
# an alert whose labels never match
edit deployments/prometheus/rules/data.yml 's/sum by (service) (db_connections{state="max"})/db_connections{state="max"}/'
# a target that is not where the configuration says: no service label, no data
edit deployments/prometheus/prometheus.yml 's/labels: {service: points}/labels: {service: point}/'
# something declared quiet that is not
edit deployments/check/contract.yml "s/^quiet:/quiet:\n  - {match: 'auth_login_total', why: planted}/"

if said=$(CARGO_TARGET_DIR='' STACK_BIN=${STACK_BIN:-$PWD/target/debug} "$copy/deployments/check/telemetry.sh" 2>&1); then
    echo 'MISSED  everything'
    exit 1
fi
failed=0
while read -r complaint; do
    if grep -qF -- "$complaint" <<<"$said"; then
        printf 'found   %s\n' "$complaint"
    else
        printf 'MISSED  %s\n' "$complaint"
        failed=1
    fi
done <<'END'
booking: bookings_created_total: does not exist
panic_by_endpoint_total: has the labels ['endpoint'] instead of ['route']
auth: auth_login_total: status is
booking.json: Overlap rate: no data
DatabaseConnectionsExhausted: no data
points.json: HTTP requests: no data
`auth_login_total` is declared quiet, but nothing quiet matches it
END
[ $failed -eq 0 ] || printf '%s\n' "$said"
exit $failed
