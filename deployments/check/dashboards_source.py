"""The PromQL of every panel, as Grafana would send it."""

import json
import re

from known import ROOT

# each variable at what "All" means
VARIABLES = {"service": "auth|points|booking|incidents", "level": ".*", "contains": ""}


def expressions(kind="prometheus"):
    """(where, expression) of each query to a data source of this kind."""
    for file in sorted(ROOT.glob("deployments/grafana/dashboards/**/*.json")):
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel.get("targets", []):
                if target["datasource"]["type"] == kind:
                    yield f"{file.relative_to(ROOT)}: {panel['title']}", filled(target["expr"])


def filled(expression):
    expression = re.sub(r"\$__(rate_interval|interval|auto|range)", "5m", expression)
    return re.sub(r"\$\{?(\w+)\}?", lambda match: VARIABLES[match[1]], expression)
