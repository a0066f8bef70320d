#!/usr/bin/env bash
# LogQL with the real grammar, which is on npm: logql.sh --install, then logql.sh PYTHON.
set -euo pipefail
cd "$(dirname "$0")/../.."
versions=(@grafana/lezer-logql@0.4.2 @lezer/lr@1.4.10)
place=${XDG_CACHE_HOME:-$HOME/.cache}/platform-check/logql-$(printf '%s ' "${versions[@]}" | cksum | cut -d' ' -f1)
if [ ! -e "$place/.complete" ]; then
    command -v npm >/dev/null && mkdir -p "$place" &&
        npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$place" "${versions[@]}" >/dev/null &&
        touch "$place/.complete" || exit 69
fi
[ "$1" != --install ] || exit 0
PYTHONPATH=deployments/check "$1" -c '
from dashboards_source import expressions
for where, expression in expressions("loki"):
    print(where, expression.replace("\n", " "), sep="\t")' | node deployments/check/logql.mjs "$place/node_modules"
