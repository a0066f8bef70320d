#!/bin/sh
# Where alerts go: everything to incidents, also the Watchdog, which is how incidents knows that they arrive.
set -eu
config=deployments/alertmanager/alertmanager.yml

route() { # RECEIVER LABEL=VALUE…
    receiver=$1
    shift
    amtool config routes test --config.file="$config" --verify.receivers="$receiver" "$@"
}

route incidents alertname=PanicDetected severity=critical service=points
route incidents alertname=HighLatency severity=warning service=points
route incidents alertname=SomethingNew
route incidents alertname=Watchdog severity=none service=prometheus
