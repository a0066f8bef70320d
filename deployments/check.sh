#!/usr/bin/env bash
# Checks docker-compose.yml and everything in deployments/ without Docker. Run from anywhere; `make check`
# calls it. Tools come from PyPI into a cache, pinned in check/requirements.txt. What cannot be checked on
# this machine is said, as SKIP.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
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

# ---- tools ------------------------------------------------------------------------------------------

requirements=deployments/check/requirements.txt

install_tools() {
    [ -e "$tools/.complete" ] && return
    "$python" -m venv --clear "$tools" &&
        "$tools/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
            --requirement "$requirements" &&
        touch "$tools/.complete"
}

# one directory per set of versions
python=$(command -v python3)
tools=${XDG_CACHE_HOME:-$HOME/.cache}/platform-check/$(cat "$requirements" "$python" 2>/dev/null | cksum | cut -d' ' -f1)
if ! reason=$(install_tools 2>&1); then
    printf '%s\n' "$reason" | tail -n 3 | sed 's/^/      /'
    tools=
fi

# ---- checks -----------------------------------------------------------------------------------------

shopt -s nullglob globstar
shell=(deployments/**/*.sh)
[ -f .ci/run ] && head -n 1 .ci/run | grep -q sh && shell+=(.ci/run)
yaml=(docker-compose.yml docker-compose.override.example.yml deployments/**/*.yml .github/workflows/*.yml)
composes=(docker-compose.yml docker-compose.override.example.yml deployments/compose.min.yml)
rules=(deployments/prometheus/rules/*.yml)
tests=(deployments/prometheus/tests/*_test.yml)

if [ -n "$tools" ]; then
    check "yaml: well-formed, no key twice" "$tools/bin/yamllint" --strict -c deployments/check/yamllint.yml "${yaml[@]}"
    check "compose: the compose-spec schema" "$tools/bin/check-jsonschema" --builtin-schema vendor.compose-spec "${composes[@]}"
    check "renovate: its schema" "$tools/bin/check-jsonschema" --builtin-schema vendor.renovate renovate.json
    check "workflows: the GitHub schema" "$tools/bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
    check "compose: mounts, secrets, limits, ports, versions" "$tools/bin/python" deployments/check/compose.py
    check "images: one list, one version, pinned everywhere or nowhere" "$tools/bin/python" deployments/check/images.py
    check "rules: labels, runbooks, a test each, metrics that exist" "$tools/bin/python" deployments/check/rules.py
    check "dashboards: classic, complete, PromQL that parses, metrics that exist" "$tools/bin/python" deployments/check/dashboards.py
    check "shell: shellcheck" "$tools/bin/shellcheck" "${shell[@]}"
    check "Dockerfile: hadolint" "$tools/bin/hadolint" deployments/docker/Dockerfile
else
    skip "yaml, schemas, mounts, runbooks, dashboards, shell, Dockerfile" \
        "no Python with venv, or PyPI is out of reach (Debian: apt-get install python3-venv)"
fi

check "generated: dashboards and objectives are what their sources say" deployments/check/generated.sh

if [ -n "$tools" ] && has node && deployments/check/logql.sh --install; then
    check "dashboards: LogQL that parses" deployments/check/logql.sh "$tools/bin/python"
else
    skip "dashboards: LogQL" "no npm, or its registry is out of reach"
fi

if has redis-server; then
    check "redis: each user may do what its service does, and nothing else" deployments/redis/check.sh
else
    skip "redis: users" "no redis-server (Debian: apt-get install redis-server)"
fi

if has promtool; then
    check "prometheus: configuration" promtool check config --syntax-only deployments/prometheus/prometheus.yml
    check "prometheus: rules" promtool check rules "${rules[@]}"
    check "prometheus: every rule fires, and stays silent" promtool test rules "${tests[@]}"
else
    skip "prometheus" "no promtool (Debian: apt-get install prometheus)"
fi

if has amtool; then
    check "alertmanager: configuration" amtool check-config deployments/alertmanager/alertmanager.yml
    check "alertmanager: routes" deployments/check/routes.sh
else
    skip "alertmanager" "no amtool (Debian: apt-get install prometheus-alertmanager)"
fi

# Kubernetes, Terraform, .github: `make check-k8s`, `make check-terraform`
for part in ${CLOUD-k8s terraform workflows}; do "deployments/check/$part.sh" || failed=$((failed + 1)); done

if docker compose version >/dev/null 2>&1; then
    for more in docker-compose.override.example.yml deployments/compose.min.yml; do
        check "compose: docker compose config, with $more" docker compose -f docker-compose.yml -f "$more" config --quiet
    done
else
    skip "docker compose config" "Docker has no compose here; the schema and our own rules were checked"
fi

skip "loki, alloy, jaeger, grafana: their own parsers" "they come in the images only; YAML and links were checked"

printf '%d failed, %d skipped\n' "$failed" "$skipped"
[ "$failed" -eq 0 ]
