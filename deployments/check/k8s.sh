#!/usr/bin/env bash
# Renders deployments/k8s and checks what comes out, without a cluster: `make check-k8s`.
set -uo pipefail
# shellcheck source=deployments/check/cloud.sh
. "$(dirname "$0")/cloud.sh"

rendered=$(mktemp -d)
trap 'rm -rf "$rendered"' EXIT

if has kustomize; then
    build() { kustomize build "$1"; }
elif has kubectl; then
    build() { kubectl kustomize "$1"; }
else
    skip "kubernetes" "neither kubectl nor kustomize is installed, and no package registry has them as a package"
    finish
    exit
fi

render() {
    local overlay
    for overlay in dev staging prod; do
        build "deployments/k8s/overlays/$overlay" >"$rendered/$overlay.yaml" || return
        build "deployments/k8s/overlays/$overlay/before" >"$rendered/$overlay-before.yaml" || return
    done
    build deployments/check/k8s-rollback >"$rendered/rollback.yaml"
}
check "kubernetes: kustomize renders every overlay" render
[ "$failed" -eq 0 ] || { finish; exit; }
deployments/k8s/rules.sh >"$rendered/rules.yaml"

if [ -n "$tools" ]; then
    check "kubernetes: yaml" "$tools/bin/yamllint" --strict -c deployments/check/yamllint.yml deployments/k8s
    check "kubernetes: schema, shape, names, secrets, connections" "$tools/bin/python" deployments/check/k8s.py "$rendered"
else
    skip "kubernetes: schema and shape" "no Python with venv, or PyPI is out of reach (Debian: apt-get install python3-venv)"
fi

if [ -n "$tools" ] && packages; then
    check "kubernetes: custom resources by their CRDs' types" "$tools/bin/python" deployments/check/custom.py "$npm" "$rendered"/*.yaml
else
    skip "kubernetes: custom resources" "no npm, or its registry is out of reach; names and references were checked"
fi
finish
