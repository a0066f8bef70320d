"""Custom resources, checked against types made from their CRDs: unknown fields, wrong types, missing ones.

    custom.py MODULES FILE…    MODULES has node_modules for npm/package.json
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

from known import complain, finish

TYPES = {
    "argoproj.io/v1alpha1": "@kubernetes-models/argo-rollouts",
    "external-secrets.io/v1": "@kubernetes-models/external-secrets",
    "gateway.networking.k8s.io/v1": "@kubernetes-models/gateway-api",
    "monitoring.coreos.com/v1": "@kubernetes-models/prometheus-operator",
}

modules, files = pathlib.Path(sys.argv[1]), sys.argv[2:]
lines, names = [], []
for file in files:
    for document in yaml.safe_load_all(pathlib.Path(file).read_text()):
        if not document:
            continue
        version, kind = document["apiVersion"], document["kind"]
        where = f"{pathlib.Path(file).stem}: {kind} {document['metadata']['name']}"
        if version in TYPES:
            module = f"{TYPES[version]}/{version}/{kind}"
            lines.append(f'(): import("{module}").I{kind} => ({json.dumps(document)});')
            names.append(where)
        elif "." in version.split("/")[0] and not version.split("/")[0].endswith(".k8s.io"):
            complain(where, f"nothing here knows {version}")
with tempfile.TemporaryDirectory() as place:
    (pathlib.Path(place) / "node_modules").symlink_to(modules / "node_modules")
    (pathlib.Path(place) / "check.ts").write_text("\n".join(lines))
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler", "--preserveSymlinks"]
    done = subprocess.run(
        ["node", modules / "node_modules/typescript/bin/tsc", *options, "check.ts"], cwd=place, capture_output=True, text=True
    )
for line in done.stdout.splitlines():
    match = re.match(r"check\.ts\((\d+),\d+\): error TS\d+: (.*)", line)
    if match:
        complain(names[int(match[1]) - 1], match[2])
    elif line and not line.startswith(" "):
        complain("types", line)
if done.returncode and not done.stdout:
    complain("types", done.stderr)
if not lines:
    complain("types", "there is nothing to check")
finish()
