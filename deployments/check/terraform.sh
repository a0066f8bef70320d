#!/usr/bin/env bash
# Checks deployments/terraform without a cloud account and without the provider: `make check-terraform`.
set -uo pipefail
# shellcheck source=deployments/check/cloud.sh
. "$(dirname "$0")/cloud.sh"

# The bindings of hashicorp/aws 6.25 for Python: one class per resource and block.
bindings=cdktf-cdktf-provider-aws==21.22.1
wheel() {
    local found=("$cache"/provider/cdktf_cdktf_provider_aws-*.whl)
    [ -e "${found[0]}" ] ||
        "$tools/bin/pip" download --quiet --no-deps --only-binary :all: --disable-pip-version-check \
            --dest "$cache/provider" "$bindings" >&2 || return
    printf '%s' "$cache"/provider/cdktf_cdktf_provider_aws-*.whl
}

if has terraform; then
    check "terraform: fmt" terraform fmt -check -recursive -diff deployments/terraform
elif has tofu; then
    check "terraform: fmt" tofu fmt -check -recursive -diff deployments/terraform
else
    skip "terraform: fmt" "neither terraform nor tofu is installed, and no package registry has them as a package"
fi

# without them, most of it
[ -z "$tools" ] || check "terraform: indented, aligned" "$tools/bin/python" deployments/check/tffmt.py

if [ -z "$tools" ]; then
    skip "terraform: arguments and references" "no Python with venv, or PyPI is out of reach (Debian: apt-get install python3-venv)"
elif provider=$(wheel); then
    check "terraform: arguments, blocks, references, modules" "$tools/bin/python" deployments/check/terraform.py "$provider"
else
    skip "terraform: argument names" "the provider's bindings cannot be had from PyPI; references are checked"
    check "terraform: references, modules" "$tools/bin/python" deployments/check/terraform.py
fi
finish
