"""How every dashboard looks: one size, one palette, one set of links. Nothing here knows a metric."""

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
LOKI = {"type": "loki", "uid": "${loki}"}
SERVICES = "auth|points|booking|incidents"

GREEN, ORANGE, RED = "green", "orange", "red"


class Log(str):
    """A LogQL expression; a plain string is PromQL."""


def row(title):
    return {"row": title}


def panel(title, description, unit, *queries, width=8, height=8, kind="timeseries", warn=None, bad=None,
          values=None, stack=False, links=(), low=0, high=None, decimals=None):
    """A panel. A query is an expression or (expression, legend); `warn` and `bad` are thresholds, upwards
    when warn < bad and downwards otherwise; `values` maps a number to (text, color)."""
    return dict(title=title, description=description, unit=unit, queries=queries, width=width, height=height,
                kind=kind, warn=warn, bad=bad, values=values, stack=stack, links=links, low=low, high=high,
                decimals=decimals)


def stat(title, description, unit, *queries, **rest):
    return panel(title, description, unit, *queries, kind="stat", **{"width": 4, "height": 4} | rest)


def logs(title, description, expression, width=24, height=10):
    return panel(title, description, None, expression, kind="logs", width=width, height=height)


def thresholds(warn, bad):
    if warn is None and bad is None:
        return [{"color": GREEN, "value": None}]
    if bad is None:
        return [{"color": GREEN, "value": None}, {"color": ORANGE, "value": warn}]
    if warn is None:
        return [{"color": GREEN, "value": None}, {"color": RED, "value": bad}]
    if warn < bad:
        return [{"color": GREEN, "value": None}, {"color": ORANGE, "value": warn}, {"color": RED, "value": bad}]
    return [{"color": RED, "value": None}, {"color": ORANGE, "value": bad}, {"color": GREEN, "value": warn}]


def target(index, query, kind):
    expression, legend = query if isinstance(query, tuple) else (query, "__auto")
    source = LOKI if isinstance(expression, Log) else PROMETHEUS
    made = {"refId": chr(ord("A") + index), "datasource": source, "expr": str(expression)}
    if kind != "logs":
        made |= {"legendFormat": legend, "instant": kind == "stat", "range": kind != "stat"}
    if source is LOKI:
        made["queryType"] = "instant" if kind == "stat" else "range"
    return made


def rendered(number, spec, grid):
    kind, limits = spec["kind"], thresholds(spec["warn"], spec["bad"])
    targets = [target(index, query, kind) for index, query in enumerate(spec["queries"])]
    made = {"id": number, "type": kind, "title": spec["title"], "description": spec["description"],
            "datasource": targets[0]["datasource"], "gridPos": grid, "targets": targets}
    if kind == "logs":
        made["fieldConfig"] = {"defaults": {}, "overrides": []}
        made["options"] = {"showTime": True, "wrapLogMessage": True, "prettifyLogMessage": False,
                           "enableLogDetails": True, "dedupStrategy": "none", "sortOrder": "Descending"}
        return made
    defaults = {"unit": spec["unit"], "color": {"mode": "palette-classic"}, "links": list(spec["links"]),
                "thresholds": {"mode": "absolute", "steps": limits}, "mappings": [], "noValue": "no data"}
    if spec["low"] is not None:
        defaults["min"] = spec["low"]
    if spec["high"] is not None:
        defaults["max"] = spec["high"]
    if spec["decimals"] is not None:
        defaults["decimals"] = spec["decimals"]
    if spec["values"]:
        mapped = {str(value): {"text": text, "color": color, "index": index}
                  for index, (value, (text, color)) in enumerate(spec["values"].items())}
        defaults["mappings"] = [{"type": "value", "options": mapped}]
    if kind == "stat":
        defaults["color"] = {"mode": "thresholds"}
        made["options"] = {"colorMode": "background", "graphMode": "none", "textMode": "auto",
                           "justifyMode": "auto", "orientation": "auto",
                           "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    else:
        marked = spec["warn"] is not None or spec["bad"] is not None
        defaults["custom"] = {"drawStyle": "line", "lineWidth": 1, "fillOpacity": 30 if spec["stack"] else 10,
                              "showPoints": "never", "spanNulls": False,
                              "stacking": {"mode": "normal" if spec["stack"] else "none", "group": "A"},
                              "thresholdsStyle": {"mode": "dashed" if marked else "off"}}
        made["options"] = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
                           "tooltip": {"mode": "multi", "sort": "desc"}}
    made["fieldConfig"] = {"defaults": defaults, "overrides": []}
    return made


def laid_out(specs):
    """Left to right, then down; a row begins a line of its own."""
    panels, x, y, tallest = [], 0, 0, 0
    for number, spec in enumerate(specs, start=1):
        if "row" in spec:
            y, x, tallest = y + tallest, 0, 0
            panels.append({"id": number, "type": "row", "title": spec["row"], "collapsed": False, "panels": [],
                           "gridPos": {"h": 1, "w": 24, "x": 0, "y": y}})
            y += 1
            continue
        if x + spec["width"] > 24:
            y, x, tallest = y + tallest, 0, 0
        panels.append(rendered(number, spec, {"h": spec["height"], "w": spec["width"], "x": x, "y": y}))
        x, tallest = x + spec["width"], max(tallest, spec["height"])
    return panels


def source_variable(name, label, kind):
    return {"name": name, "label": label, "type": "datasource", "query": kind, "hide": 2,
            "current": {"text": label, "value": kind}}


def query_variable(name, label, metric, everything):
    query = f"label_values({metric}, {name})"
    return {"name": name, "label": label, "type": "query", "datasource": PROMETHEUS,
            "query": {"query": query, "refId": name}, "definition": query, "refresh": 2, "sort": 1,
            "multi": True, "includeAll": True, "allValue": everything,
            "current": {"text": ["All"], "value": ["$__all"]}}


def choice_variable(name, label, choices):
    options = [{"text": "All", "value": "$__all", "selected": True}]
    options += [{"text": choice, "value": choice, "selected": False} for choice in choices]
    return {"name": name, "label": label, "type": "custom", "query": ",".join(choices), "options": options,
            "multi": True, "includeAll": True, "allValue": ".*", "current": {"text": ["All"], "value": ["$__all"]}}


def text_variable(name, label):
    return {"name": name, "label": label, "type": "textbox", "query": "",
            "current": {"text": "", "value": ""}, "options": [{"text": "", "value": "", "selected": True}]}


def dashboard(uid, title, description, panels, variables=()):
    links = [{"title": "Platform", "type": "dashboards", "tags": ["platform"], "asDropdown": True,
              "includeVars": True, "keepTime": True, "icon": "external link", "tooltip": "", "url": "",
              "targetBlank": False}]
    return {"id": None, "uid": uid, "title": title, "description": description, "tags": ["platform"],
            "timezone": "browser", "editable": False, "graphTooltip": 1, "schemaVersion": 41, "version": 1,
            "refresh": "15s", "time": {"from": "now-30m", "to": "now"}, "annotations": {"list": []},
            "links": links,
            "templating": {"list": [source_variable("datasource", "Prometheus", "prometheus"),
                                    source_variable("loki", "Loki", "loki"), *variables]},
            "panels": laid_out(panels)}
