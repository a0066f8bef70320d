"""Dashboards that file provisioning accepts, and whose panels can show something."""

import json
import re

from known import ROOT, check_metrics, complain, finish, recorded, source


def substituted(expression):
    """Grafana's variables as plain PromQL."""
    expression = re.sub(r"\$__(rate_interval|interval|auto|range)", "5m", expression)
    return re.sub(r"\$\{?\w+\}?", "x", expression)


def check_panel(where, panel, variables):
    if panel["type"] == "row":
        return
    where = f"{where}: {panel.get('title') or panel['id']}"
    for key in ("title", "description", "targets"):
        if not panel.get(key):
            complain(where, f"has no {key}")
    if panel["type"] != "logs" and not panel["fieldConfig"]["defaults"].get("unit"):
        complain(where, "has no unit")
    for target in panel.get("targets", []):
        source_type = target["datasource"]["type"]
        if target["datasource"]["uid"].strip("${}") not in variables:
            complain(where, f"its data source {target['datasource']['uid']} is no variable")
        for used in re.findall(r"\$\{?(\w+)", target["expr"]):
            if not used.startswith("__") and used not in variables:
                complain(where, f"the variable {used} does not exist")
        if source_type == "prometheus":
            check_metrics(where, substituted(target["expr"]), known, text)
            if re.search(r"\b(rate|increase)\(", target["expr"]) and re.search(r"rate\([^[]*\[\d", target["expr"]):
                complain(where, "a rate over a fixed window; use $__rate_interval")


text, known = source(), recorded()
uids = {}
for file in sorted(ROOT.glob("deployments/grafana/dashboards/**/*.json")):
    where = str(file.relative_to(ROOT))
    dashboard = json.loads(file.read_text())
    for key in ("uid", "title", "panels", "schemaVersion"):
        if not dashboard.get(key):
            complain(where, f"has no {key}: file provisioning takes the classic format only")
    if dashboard.get("id") is not None:
        complain(where, "has an id; that is the database's")
    if dashboard.get("editable"):
        complain(where, "is editable, but a change would be lost")
    if "__inputs" in dashboard or "${DS_" in file.read_text():
        complain(where, "has __inputs, which only the import dialogue resolves")
    if dashboard.get("uid") in uids:
        complain(where, f"has the uid of {uids[dashboard['uid']]}")
    uids[dashboard.get("uid")] = where
    variables = {v["name"] for v in dashboard["templating"]["list"]}
    ids = [p["id"] for p in dashboard["panels"]]
    if len(ids) != len(set(ids)):
        complain(where, "two panels have the same id")
    for panel in dashboard["panels"]:
        check_panel(where, panel, variables)
if not uids:
    complain("deployments/grafana/dashboards", "there is none")
finish()
