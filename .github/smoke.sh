#!/bin/sh
# Does a deployed environment answer? smoke.sh DOMAIN. Changes nothing there: it asks each service one
# thing that goes through the load balancer, the service and, where it can, its database.
set -eu
domain=${1:?usage: smoke.sh DOMAIN}
scheme=${SMOKE_SCHEME:-https}
failed=0

# expect STATUS URL: within a minute, because a name or a certificate may be new
expect() {
    status='' tries=0
    while [ $tries -lt 12 ]; do
        status=$(curl --silent --output /dev/null --max-time 5 --write-out '%{http_code}' "$2" || true)
        [ "$status" = "$1" ] && break
        tries=$((tries + 1))
        sleep "${SMOKE_PAUSE:-5}"
    done
    if [ "$status" = "$1" ]; then
        echo "ok    $2"
    else
        echo "FAIL  $2 answers $status, not $1"
        failed=1
    fi
}

expect 200 "$scheme://auth.$domain/.well-known/jwks.json"
# without a token: refused by the service itself
expect 401 "$scheme://auth.$domain/v1/me"
expect 401 "$scheme://points.$domain/v1/accounts/me"
expect 401 "$scheme://booking.$domain/v1/bookings"
expect 401 "$scheme://incidents.$domain/v1/incidents"
# the status page, from its database
expect 200 "$scheme://incidents.$domain/v1/status"
# for Alertmanager only
expect 404 "$scheme://incidents.$domain/v1/alerts"
exit $failed
