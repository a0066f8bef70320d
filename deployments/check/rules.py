"""Every alert has its labels, its runbook, and a test that fires and one that stays silent."""

from known import ROOT, SERVICES, check_metrics, complain, finish, load, recorded, source

# It always fires.
NEVER_SILENT = {"Watchdog"}


def alerts():
    for file in sorted(ROOT.glob("deployments/prometheus/rules/*.yml")):
        for group in load(file)["groups"]:
            for rule in group["rules"]:
                yield file.relative_to(ROOT), rule


def check_alert(file, rule):
    where = f"{file}: {rule['alert']}"
    if rule.get("labels", {}).get("severity") not in ("critical", "error", "warning", "info", "none"):
        complain(where, "has no severity")
    for annotation in ("summary", "description", "runbook_url"):
        if not rule.get("annotations", {}).get(annotation):
            complain(where, f"has no {annotation}")
    runbook = rule.get("annotations", {}).get("runbook_url", "")
    if not runbook.startswith("docs/runbooks/"):
        complain(where, f"its runbook {runbook!r} is not in docs/runbooks/")
    elif not (ROOT / runbook).is_file():
        complain(where, f"there is no {runbook}")
    elif rule["alert"] not in (ROOT / runbook).read_text().splitlines()[0]:
        complain(where, f"{runbook} is about something else")


def tested():
    """alert -> with which severities it fires in a test; and None where a whole test has it silent."""
    found = {}
    for file in sorted(ROOT.glob("deployments/prometheus/tests/*_test.yml")):
        for test in load(file)["tests"]:
            seen = {}
            for case in test.get("alert_rule_test", []):
                fires = {alert["exp_labels"].get("severity") for alert in case["exp_alerts"]}
                seen.setdefault(case["alertname"], set()).update(fires)
            for alert, fires in seen.items():
                found.setdefault(alert, set()).update(fires or {None})
    return found


def check_targets():
    prometheus = load("deployments/prometheus/prometheus.yml")
    containers = load("docker-compose.yml")["services"]
    jobs = {}
    full = load("deployments/prometheus/targets/full.yml")
    for job in prometheus["scrape_configs"]:
        where = f"deployments/prometheus/prometheus.yml: {job['job_name']}"
        for static in job.get("static_configs", full):
            if "service" not in static.get("labels", {}):
                complain(where, "has no label `service`, by which alerts are grouped and inhibited")
            jobs[job["job_name"]] = static["labels"].get("service")
            for target in static["targets"]:
                host = target.split(":")[0]
                if host not in containers and host != "localhost":
                    complain(where, f"there is no container {host}")
    for service in SERVICES:
        if jobs.get(service) != service:
            complain("deployments/prometheus/prometheus.yml", f"{service} is not scraped as job and service {service}")


text, known, covered = source(), recorded(), tested()
names = set()
for file, rule in alerts():
    check_metrics(f"{file}: {rule.get('alert') or rule.get('record')}", rule["expr"], known, text)
    if "alert" in rule:
        names.add(rule["alert"])
        check_alert(file, rule)
        severity = rule.get("labels", {}).get("severity")
        if severity not in covered.get(rule["alert"], set()):
            complain(f"{file}: {rule['alert']}", f"no test in which it fires as {severity}")
        if rule["alert"] not in NEVER_SILENT and None not in covered.get(rule["alert"], set()):
            complain(f"{file}: {rule['alert']}", "no test in which it stays silent")
for alert in sorted(set(covered) - names):
    complain("deployments/prometheus/tests", f"{alert} is tested and does not exist")
for runbook in sorted((ROOT / "docs/runbooks").glob("*.md")):
    if runbook.name != "README.md" and runbook.name not in (ROOT / "docs/runbooks/README.md").read_text():
        complain("docs/runbooks/README.md", f"does not list {runbook.name}")
check_targets()
finish()
