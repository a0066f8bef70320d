#!/usr/bin/env python3
"""Writes rules/slo.yml: every objective in every window. `slo.py --check` says whether they agree.

Burn rate is the share of failures over the share that the objective allows: at 1 the budget lasts exactly
its period (30 days), at 14.4 two days. Each alert needs a long window, so that a blip does not page, and a
short one, so that it ends soon after its cause (Google SRE workbook, chapter 5)."""

import pathlib
import sys

WINDOWS = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"]
FAILED = 'code=~"UNKNOWN|INTERNAL|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED"'

# name, objective, bad per second, all per second. {w} is the window. A refusal (4xx) is an answer.
OBJECTIVES = [
    ("availability", 0.999, "Requests answered without a fault of ours, over HTTP and gRPC.",
     f'(sum by (service) (rate(http_requests_total{{status=~"5.."}}[@])\n'
     f'  or rate(grpc_requests_total{{{FAILED}}}[@])) or 0 * %all%)',
     'sum by (service) (rate(http_requests_total[@]) or rate(grpc_requests_total[@]))'),
    ("latency", 0.99, "Requests answered within 500 ms, over HTTP and gRPC.",
     '(%all%\n  - sum by (service) (rate(http_request_duration_seconds_bucket{le="0.5"}[@])\n'
     '  or rate(grpc_request_duration_seconds_bucket{le="0.5"}[@])))',
     'sum by (service) (rate(http_request_duration_seconds_count[@])\n'
     '  or rate(grpc_request_duration_seconds_count[@]))'),
    ("booking", 0.999, "Attempts to book that did not fail through our fault. A taken slot is an answer.",
     'sum by (service) (rate(booking_created_total{status="error"}[@]))',
     'sum by (service) (rate(booking_created_total{status=~"success|error"}[@]))'),
    ("booking-latency", 0.95, "Attempts to book that took at most 300 ms.",
     '(%all% - sum by (service) (rate(booking_creation_duration_seconds_bucket{le="0.3"}[@])))',
     'sum by (service) (rate(booking_creation_duration_seconds_count[@]))'),
]

ALERTS = [
    ("ErrorBudgetBurnFast", "error", [("1h", "5m", 14.4), ("6h", "30m", 6)],
     "{{ $labels.service }} burns the error budget of {{ $labels.slo }} {{ printf \"%.1f\" $value }} times too fast",
     "At this rate the month's budget is spent within two to five days. Something is broken now.",
     "docs/runbooks/error-budget-burn.md"),
    ("ErrorBudgetBurnSlow", "warning", [("1d", "2h", 3), ("3d", "6h", 1)],
     "{{ $labels.service }} burns the error budget of {{ $labels.slo }} {{ printf \"%.1f\" $value }} times too fast, for long",
     "Too slow to page for, and the month's objective will be missed. Find the cause within days.",
     "docs/runbooks/error-budget-burn.md"),
]


def indented(text, by):
    return "\n".join(" " * by + line for line in text.splitlines())


def rules():
    out = ["# Written by ../slo.py; change the objectives there. Loads in Prometheus 2.42 and 3.",
           "# No traffic gives no sample, so silence does not alert: ServiceDown does.", "groups:"]
    for name, objective, says, bad, every in OBJECTIVES:
        out += [f"  # {objective:.4g}: {says}", f"  - name: slo-{name}", "    rules:"]
        for window in WINDOWS:
            total = every.replace("@", window)
            failed = bad.replace("%all%", every).replace("@", window)
            budget = round(1 - objective, 6)
            out += [f"      - record: slo:burn_rate:{window}", "        expr: |",
                    indented(f"{failed}\n/\n({total} > 0)\n/ {budget}", 10),
                    f"        labels: {{slo: {name}}}"]
    out += ["  - name: slo-alerts", "    rules:"]
    for alert, severity, pairs, summary, description, runbook in ALERTS:
        condition = "\nor\n".join(
            f"(slo:burn_rate:{long} > {rate} and slo:burn_rate:{short} > {rate})" for long, short, rate in pairs)
        # one unlucky scrape is no trend
        out += [f"      - alert: {alert}", "        expr: |", indented(condition, 10), "        for: 2m",
                f"        labels: {{severity: {severity}}}", "        annotations:",
                f"          summary: '{summary}'", f'          description: "{description}"',
                f"          runbook_url: {runbook}"]
    return "\n".join(out) + "\n"


def main():
    file = pathlib.Path(__file__).resolve().parent / "rules/slo.yml"
    if sys.argv[1:] == ["--check"]:
        if not file.exists() or file.read_text() != rules():
            sys.exit("rules/slo.yml is not what slo.py says; run deployments/prometheus/slo.py")
    else:
        file.write_text(rules())


main()
