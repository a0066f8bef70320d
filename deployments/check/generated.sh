#!/bin/sh
# What is generated is what its source says, and dashboards link only to dashboards that exist.
set -u
cd "$(dirname "$0")/../.." || exit 1
failed=0
deployments/grafana/generate.py --check || failed=1
deployments/prometheus/slo.py --check || failed=1
python3 - <<'END' || failed=1
import json, pathlib, re, sys
boards = {json.loads(f.read_text())["uid"] for f in pathlib.Path("deployments/grafana/dashboards").glob("*.json")}
boards |= {"${__field.labels.service}"} if {"auth", "points", "booking", "incidents"} <= boards else set()
missing = {
    (file.name, uid)
    for file in pathlib.Path("deployments/grafana/dashboards").glob("*.json")
    for uid in re.findall(r'"/d/([^?"]+)', file.read_text())
    if uid not in boards
}
for name, uid in sorted(missing):
    print(f"dashboards/{name} links to the dashboard {uid}, which does not exist")
sys.exit(bool(missing))
END
exit $failed
