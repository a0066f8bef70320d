//! After a drill the usual rules, whose windows are minutes and hours, still see it: what it has shown
//! already must not be told again.

use anyhow::ensure;
use chrono::{SecondsFormat, TimeDelta};
use serde_json::{Value, json};

use super::Fault;
use super::watch::{Watch, now};

const BY: &str = "stack chaos";

/// Whatever fails, its neighbors see it as well.
const NEIGHBORS: &str = "HighErrorRate|Rollback.*|UnverifiedAlerts";
const BUDGET: &str = "ErrorBudgetBurn.*";

/// Silences the alerts of this fault for as long as the usual windows see it.
pub(super) async fn keep(watch: &Watch, fault: Fault) -> anyhow::Result<()> {
    let names = format!("{}|{NEIGHBORS}", fault.alerts().join("|"));
    for (names, life) in [(names, TimeDelta::minutes(10)), (BUDGET.to_owned(), TimeDelta::hours(6))]
    {
        let at =
            |time: chrono::DateTime<chrono::Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let silence = json!({
            "matchers": [{ "name": "alertname", "value": names, "isRegex": true, "isEqual": true }],
            "startsAt": at(now()),
            "endsAt": at(now() + life),
            "createdBy": BY,
            "comment": "A drill is over, and the windows of the usual rules still see it.",
        });
        let reply = watch.client.post(url(watch, "silences")).json(&silence).send().await?;
        ensure!(reply.status() == 200, "Alertmanager silences nothing: {}", reply.status());
    }
    Ok(())
}

/// Ends the silence that the drill before has left.
pub(super) async fn lift(watch: &Watch) -> anyhow::Result<()> {
    let silences: Value = watch.client.get(url(watch, "silences")).send().await?.json().await?;
    let ours =
        silences.as_array().into_iter().flatten().filter(|silence| {
            silence["createdBy"] == BY && silence["status"]["state"] != "expired"
        });
    for id in ours.filter_map(|silence| silence["id"].as_str()) {
        let reply = watch.client.delete(url(watch, &format!("silence/{id}"))).send().await?;
        ensure!(reply.status() == 200, "Alertmanager keeps a silence: {}", reply.status());
    }
    Ok(())
}

fn url(watch: &Watch, what: &str) -> String {
    format!("http://127.0.0.1:{}/api/v2/{what}", watch.ports.alertmanager)
}
