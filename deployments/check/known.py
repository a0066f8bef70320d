"""What the checks share: the repository's files, our metrics' names, and a list of complaints."""

import pathlib
import re
import sys

import promql_parser
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVICES = ["auth", "points", "booking", "incidents"]

# Made by Prometheus, Alertmanager, Jaeger, the process collector of the `prometheus` crate, or an exporter
# (deployments/postgres/exporter.yml). check/telemetry.sh asks the real ones.
FOREIGN = re.compile(
    r"^(up|ALERTS|(process|pg|redis|alertmanager|prometheus)_[a-z_]+|traces_span_metrics_[a-z_]+"
    r"|platform_(backup|wal_archive)_[a-z_]+)$"
)

complaints = []


def complain(where, what):
    complaints.append(f"{where}: {what}")


def finish():
    print("\n".join(complaints))
    sys.exit(1 if complaints else 0)


def load(path):
    return yaml.safe_load((ROOT / path).read_text())


def source():
    """All Rust of the services, as one text."""
    return "\n".join(f.read_text() for f in sorted(ROOT.glob("crates/*/src/**/*.rs")))


def selected(expression):
    """The (metric, matchers) that a PromQL expression selects; raises ValueError when it is none."""
    found = []

    def walk(node):
        if isinstance(node, promql_parser.VectorSelector):
            found.append((node.name, [(m.name, m.op, m.value) for m in node.matchers.matchers]))
        for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
            child = getattr(node, name, None)
            if child is not None:
                walk(child)
        for child in getattr(node, "args", None) or []:
            walk(child)

    walk(promql_parser.parse(expression))
    return found


def metrics(expression):
    """The names an expression selects, also from `{__name__=~"a|b"}`."""
    for name, matchers in selected(expression):
        if name:
            yield name
        for label, _, value in matchers:
            if label == "__name__":
                yield from value.split("|")


def check_metrics(where, expression, recorded, text):
    """Complains of a metric that nothing in this repository registers or records."""
    try:
        names = list(metrics(expression))
    except ValueError as error:
        complain(where, f"PromQL does not parse: {error}: {expression}")
        return
    for name in names:
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if name in recorded or FOREIGN.match(name):
            continue
        if f'"{name}"' not in text and f'"{base}"' not in text:
            complain(where, f"no code registers the metric {name}")


def recorded():
    """The names that recording rules make."""
    return {
        rule["record"]
        for file in sorted(ROOT.glob("deployments/prometheus/rules/*.yml"))
        for group in load(file)["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
