//! Runbooks have one form: the person on call finds everything in the same place.

use crate::files::{files, name, none, read};

/// The parts of a runbook, in this order.
const FORM: [&str; 6] = [
    "**Means**",
    "**Impact**",
    "## First five minutes",
    "## Diagnosis",
    "## Mitigation",
    "## After",
];

#[test]
fn every_runbook_has_the_one_form() {
    let mut broken = Vec::new();
    for (path, text) in runbooks() {
        let mut rest = text.as_str();
        for part in FORM {
            match rest.split_once(&format!("\n{part}")) {
                Some((_, after)) => rest = after,
                None => broken.push(format!("{path}: `{part}` is missing, or not in its place")),
            }
        }
        if !text.contains("| | native | Compose | Kubernetes |") {
            broken.push(format!("{path}: no commands for the three ways to run it"));
        }
    }
    none("runbooks have one form", &broken);
}

#[test]
fn every_alert_has_a_runbook() {
    let titles: Vec<_> = runbooks()
        .into_iter()
        .flat_map(|(_, text)| {
            let title = text.lines().next().unwrap().trim_start_matches("# ").to_owned();
            title.split(", ").map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    let rules = files("deployments/prometheus/rules", "yml");
    let mut alerts: Vec<_> = rules
        .iter()
        .flat_map(|file| {
            let text = read(file);
            let alerts = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
            alerts.map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    assert!(alerts.len() > 20, "the rules were found: {}", alerts.len());
    // `incidents` raises this one itself.
    alerts.push("WatchdogSilent".to_owned());
    alerts.retain(|alert| !titles.contains(alert));
    none("every alert has a runbook", &alerts);
}

fn runbooks() -> Vec<(String, String)> {
    files("docs/runbooks", "md")
        .iter()
        .map(|file| (name(file), read(file)))
        .filter(|(path, _)| !path.ends_with("README.md"))
        .collect()
}
