"""The questions of telemetry.sh, to the running system."""

import json
import math
import os
import pathlib
import re
import sys
import time
import urllib.parse
import urllib.request

import promql_parser
import yaml

from dashboards_source import expressions
from known import ROOT, SERVICES, complain, complaints, load

CONTRACT = load("deployments/check/contract.yml")
ABSENT = set(os.environ.get("MISSING", "").split())
DEADLINE = 40


def port(name):
    return os.environ[f"{name.upper().replace('-', '_')}_PORT"]


def get(address):
    with urllib.request.urlopen(address, timeout=10) as answer:
        return answer.read().decode()


def until(what, condition):
    """The first true value of `condition`, or a complaint."""
    end = time.monotonic() + DEADLINE
    while True:
        value = condition()
        if value or time.monotonic() > end:
            break
        time.sleep(0.3)
    if not value:
        complain("telemetry", f"not within {DEADLINE} s: {what}")
    return value


# ---- Compose's Prometheus, with the addresses of this machine -------------------------------------------


def here(job):
    name = job["job_name"]
    if name in SERVICES:
        return port(f"{name}_admin")
    return port({"prometheus": "check", "alertmanager": "alertmanager", "postgres": "pg_exporter",
                 "redis": "redis_exporter"}[name])


def write_config(path):
    config = load("deployments/prometheus/prometheus.yml")
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(ROOT / "deployments/prometheus/rules/*.yml")]
    config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = []
    jobs = [job for job in config["scrape_configs"] if job["job_name"] not in ABSENT | set(CONTRACT["containers"])]
    for job in jobs:
        job["static_configs"][0]["targets"] = [f"127.0.0.1:{here(job)}"]
    config["scrape_configs"] = jobs
    pathlib.Path(path).write_text(yaml.safe_dump(config))


# ---- targets ------------------------------------------------------------------------------------------


def targets(name, address):
    def down():
        found = json.loads(get(f"{address}/api/v1/targets?state=active"))["data"]["activeTargets"]
        if not found:
            return None
        return [f"{t['labels']['job']}: {t['health']} {t['lastError']}" for t in found if t["health"] != "up"]

    if until(f"every target of {name} is up", lambda: down() == []) is False:
        for line in down() or ["there is none"]:
            complain(name, line)
    return len(json.loads(get(f"{address}/api/v1/targets?state=active"))["data"]["activeTargets"])


# ---- expressions --------------------------------------------------------------------------------------

COMPARED = {"==", "!=", ">", "<", ">=", "<="}


def parts(node):
    """What of an alert must have data although it is silent: both sides of what is compared or combined."""
    operator = str(getattr(node, "op", "")).strip()
    if isinstance(node, promql_parser.ParenExpr):
        yield from parts(node.expr)
    elif isinstance(node, promql_parser.BinaryExpr) and operator in COMPARED | {"and", "or", "unless"}:
        yield from parts(node.lhs)
        yield from parts(node.rhs)
    elif isinstance(node, promql_parser.Call) and node.func.name == "absent":
        yield from parts(node.args[0])
    elif not isinstance(node, promql_parser.NumberLiteral):
        yield re.sub(r"\s+", " ", node.prettify())


def ask(expression):
    query = urllib.parse.urlencode({"query": expression})
    try:
        answer = json.loads(get(f"http://127.0.0.1:{port('check')}/api/v1/query?{query}"))
    except urllib.error.HTTPError as error:
        return None, json.loads(error.read().decode()).get("error", str(error))
    result = answer["data"]["result"]
    values = [result[1]] if answer["data"]["resultType"] == "scalar" else [sample["value"][1] for sample in result]
    return [v for v in values if not math.isnan(float(v))], None


def needs_absent(expression):
    return any(re.search(rf"\b{prefix}_", expression) for job, prefix in [("postgres", "pg"), ("redis", "redis"),
               ("postgres", "platform_(backup|wal_archive)")] if job in ABSENT)


def expressions_have_data():
    wanted = {}  # expression -> where it is
    for file in sorted(ROOT.glob("deployments/prometheus/rules/*.yml")):
        for group in load(file)["groups"]:
            for rule in group["rules"]:
                where = f"{file.relative_to(ROOT)}: {rule.get('alert') or rule.get('record')}"
                for part in parts(promql_parser.parse(rule["expr"])):
                    wanted.setdefault(part, where)
    for where, expression in expressions():
        wanted.setdefault(expression, where)
    wanted = {e: where for e, where in wanted.items() if not needs_absent(e)}

    used = set()

    def is_quiet(expression):
        matching = [q["match"] for q in CONTRACT["quiet"] if re.search(q["match"], expression)]
        used.update(matching)
        return bool(matching)

    silent, end = dict(wanted), time.monotonic() + DEADLINE
    while silent and time.monotonic() < end:
        silent = {e: where for e, where in silent.items() if not ask(e)[0]}
        if all(is_quiet(e) for e in silent):
            break
        time.sleep(1)
    for expression, where in silent.items():
        _, error = ask(expression)
        if error:
            complain(where, f"{error}: {expression}")
        elif not is_quiet(expression):
            complain(where, f"no data: {expression}")
    for expression in wanted.keys() - silent.keys():
        if is_quiet(expression):
            used.difference_update(q["match"] for q in CONTRACT["quiet"] if re.search(q["match"], expression))
    declared = {q["match"] for q in CONTRACT["quiet"]}
    still = {q["match"] for q in CONTRACT["quiet"] if any(re.search(q["match"], e) for e in silent)}
    for match in sorted(declared - still):
        complain("deployments/check/contract.yml", f"`{match}` is declared quiet, but nothing quiet matches it")
    return len(wanted), len(silent)


# ---- metrics ------------------------------------------------------------------------------------------

SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$")
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def scraped(service):
    """metric -> [labels]; a histogram under its own name, with its buckets."""
    found, buckets, histograms = {}, {}, set()
    for line in get(f"http://127.0.0.1:{port(f'{service}_admin')}/metrics").splitlines():
        if line.startswith("# TYPE ") and line.endswith(" histogram"):
            histograms.add(line.split()[2])
        match = SAMPLE.match(line)
        if not match:
            continue
        name, labels = match[1], dict(LABEL.findall(match[2] or ""))
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if base in histograms:
            if "le" in labels:
                buckets.setdefault(base, set()).add(float(labels.pop("le")))
            name = base
        found.setdefault(name, []).append(labels)
    return found, buckets


def metrics_keep_their_contract():
    for service in SERVICES:
        found, buckets = scraped(service)
        for metric, promise in CONTRACT["services"].items():
            if service not in promise["in"]:
                continue
            where, labels = f"{service}: {metric}", promise.get("labels", {})
            if metric not in found:
                complain(where, "does not exist")
                continue
            for sample in found[metric]:
                if set(sample) != set(labels):
                    complain(where, f"has the labels {sorted(sample)} instead of {sorted(labels)}")
                    break
            for label, values in labels.items():
                seen = {sample.get(label) for sample in found[metric]}
                wanted = {service} if values == "own" else seen if values == "any" else set(values)
                if seen != wanted:
                    complain(where, f"{label} is {sorted(map(str, seen))} instead of {sorted(wanted)}")
            if "buckets" in promise:
                finite = sorted(b for b in buckets.get(metric, {0}) if not math.isinf(b))
                if [finite[0], finite[-1]] != promise["buckets"]:
                    complain(where, f"has buckets from {finite[0]} to {finite[-1]}")
        for metric, samples in found.items():
            for label in set().union(*samples) & set(CONTRACT["unbounded"]):
                complain(f"{service}: {metric}", f"has the label {label}, to which there is no bound")


# ---- one request, in the log and in Jaeger ----------------------------------------------------------------


def lines(place, service):
    for line in (place / "stack/logs" / f"{service}.log").read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            if line.startswith("error: "):  # the last words of a process that could not start
                continue
            complain(f"{service}'s log", f"is not one JSON object per line: {line[:80]}")


def logs_meet_traces(place):
    trace = re.search(r"/trace/([0-9a-f]{32})", (place / "demo.log").read_text())[1]
    address = f"http://127.0.0.1:{port('jaeger')}/api/traces/{trace}"

    def spans():
        data = json.loads(get(address)).get("data") or []
        found = {span["spanID"]: data[0]["processes"][span["processID"]]["serviceName"] for t in data for span in t["spans"]}
        return found if {"auth", "booking", "points"} <= set(found.values()) else None

    found = until("Jaeger has the story's trace, with spans of auth, booking and points", spans) or {}
    for service in ("auth", "booking", "points"):
        own = [line for line in lines(place, service) if line.get("trace_id") == trace]
        if not own:
            complain(f"{service}'s log", f"has no line with the story's trace_id {trace}")
        for line in own:
            if found and found.get(line.get("span_id")) != service:
                complain(f"{service}'s log", f"has the span_id {line.get('span_id')}, which Jaeger does not know: {line['message']}")
            if line.get("message") == "request" and not (line.get("request_id") and line.get("correlation_id")):
                complain(f"{service}'s log", "has an access line without request_id or correlation_id")
    return len(found)


def alert_arrives():
    def opened():
        found, _ = scraped("incidents")
        text = get(f"http://127.0.0.1:{port('incidents_admin')}/metrics")
        return any(float(SAMPLE.match(line)[3]) > 0 for line in text.splitlines()
                   if line.startswith("incidents_opened_total{"))

    until("the alert sent to Alertmanager opens an incident", opened)


def main():
    if sys.argv[1] == "config":
        write_config(sys.argv[2])
        return
    place = pathlib.Path(sys.argv[2])
    stack = targets("the stack's Prometheus", f"http://127.0.0.1:{port('prometheus')}")
    compose = targets("Compose's Prometheus", f"http://127.0.0.1:{port('check')}")
    alert_arrives()
    metrics_keep_their_contract()
    asked, quiet = expressions_have_data()
    spans = logs_meet_traces(place)
    for line in complaints:
        print(line)
    print(f"{stack} + {compose} targets, {len(CONTRACT['services'])} metrics promised, {asked} expressions asked "
          f"({quiet} quiet by design), {spans} spans of the story; {len(complaints)} faults")
    sys.exit(bool(complaints))


main()
