//! Faults, and what becomes of them: with the real Prometheus and Alertmanager, to the end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::bench::{Bench, within};
use crate::load::operator;

/// The seconds behind a word of what `stack chaos` says.
fn seconds(said: &str, word: &str) -> f32 {
    let line = said.lines().find(|line| line.trim_start().starts_with(word)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_open_incident_within_a_minute_and_over_afterwards() {
    let bench = Bench::new("chaos").await;
    bench.up().await;
    let said = bench.ok(&["chaos", "points-panic"]).await;
    eprintln!("{said}");
    for part in [
        "alert PanicDetected fires for points",
        "opened, P0: points panicked",
        "advice: ",
        "resolved: INC-",
    ] {
        assert!(said.contains(part), "{part}");
    }
    let (found, over) = (seconds(&said, "MTTD"), seconds(&said, "MTTR"));
    assert!(found <= 60.0 && over > found, "{found} {over}");
    // It survived its panics, and the drill has left nothing behind.
    assert_eq!(bench.part("points").restarts, 0);
    let rules = fs::read_to_string(bench.place.config().join("prometheus.yml")).unwrap();
    assert!(rules.contains("scrape_interval: 5s"), "{rules}");
    // The usual window of five minutes still sees the panics, and nobody is told again.
    let url = format!("http://127.0.0.1:{}/api/v2/alerts", bench.ports.alertmanager);
    within(Duration::from_secs(60), "the usual rule fires, and is silenced", || async {
        let alerts: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
        let mut alerts = alerts.as_array().unwrap().iter();
        alerts.any(|alert| {
            alert["labels"]["alertname"] == "PanicDetected"
                && alert["status"]["state"] == "suppressed"
        })
    })
    .await;
    let client = Client::new();
    let operator = operator(&bench, &client, "incidents").await;
    let open = client.get(bench.url("incidents", "/v1/incidents?status=open"));
    let open: Value = open.bearer_auth(operator).send().await.unwrap().json().await.unwrap();
    assert_eq!(open["items"], json!([]));
    bench.ok(&["down"]).await;
    bench.assert_gone();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_whom_line_does_not_tell_are_an_incident_and_are_told_when_it_is_over() {
    let bench = Bench::new("chaos-line").await;
    bench.up().await;
    let said = bench.ok(&["chaos", "line-down"]).await;
    eprintln!("{said}");
    for part in [
        "alert LineFailing fires for booking",
        "opened, P2: ",
        "of the messages by LINE fail",
        "advice: dependency. ",
        "resolved: INC-",
    ] {
        assert!(said.contains(part), "{part}");
    }
    let (found, over) = (seconds(&said, "MTTD"), seconds(&said, "MTTR"));
    assert!(found <= 60.0 && over > found, "{found} {over}");
    // What waited has left by itself: nobody stays untold.
    let pending = async || {
        let page = format!("http://127.0.0.1:{}/metrics", bench.ports.service("booking").admin);
        let page = reqwest::get(page).await.unwrap().text().await.unwrap();
        let line = page.lines().find(|line| line.starts_with("booking_notifications_pending"));
        line.unwrap().split_whitespace().last().unwrap().parse::<f64>().unwrap()
    };
    within(Duration::from_secs(60), "every message leaves", || async { pending().await == 0.0 })
        .await;
    let url = format!("http://127.0.0.1:{}/taken", bench.ports.line);
    let taken: Value = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert!(taken["taken"].as_u64().unwrap() > 10, "{taken}");
    bench.ok(&["down"]).await;
    bench.assert_gone();
}

/// A version of points that is there and does not work.
fn broken(bench: &Bench) -> PathBuf {
    let path = bench.place.dir.join("points-broken");
    fs::write(&path, "#!/bin/sh\nsleep 1\necho 'this version is broken' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_version_is_taken_back_to_the_one_before_when_an_operator_approves() {
    let bench = Bench::new("rollback").await;
    bench.up().await;
    let good = bench.process("points");
    let path = broken(&bench);
    let said = bench.run(&["switch", "points", path.to_str().unwrap()]).await;
    assert!(said.code != 0 && said.err.contains("points does not become ready"), "{}", said.err);
    assert!(!good.is_alive());

    // Prometheus' alert would open it; told here, so as not to wait for its minute.
    let client = Client::new();
    let token = fs::read_to_string(bench.place.secrets().join("alert_webhook_token")).unwrap();
    let alert = json!({ "version": "4", "alerts": [{
        "status": "firing", "fingerprint": "f", "startsAt": "2026-01-01T00:00:00Z",
        "labels": { "alertname": "ServiceDown", "service": "points", "severity": "critical" },
        "annotations": { "summary": "points is down" },
    }] });
    let url = bench.url("incidents", "/v1/alerts");
    let reply = client.post(&url).bearer_auth(token).json(&alert).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let operator = operator(&bench, &client, "incidents").await;
    let get = |path: String| {
        let call = client.get(bench.url("incidents", &path)).bearer_auth(&operator);
        async move { call.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    let open = get("/v1/incidents?status=open&service=points".to_owned()).await;
    let id = open["items"][0]["incident_id"].as_str().unwrap().to_owned();
    let approve = client.post(bench.url("incidents", &format!("/v1/incidents/{id}/rollbacks")));
    let approve = approve.bearer_auth(&operator).header("idempotency-key", "once");
    let reply = approve.json(&json!({ "service": "points" })).send().await.unwrap();
    assert_eq!(reply.status(), 200);

    within(Duration::from_secs(60), "the rollback ends", || async {
        get(format!("/v1/incidents/{id}")).await["rollbacks"][0]["status"] != "running"
    })
    .await;
    let run = get(format!("/v1/incidents/{id}")).await["rollbacks"][0].clone();
    assert_eq!(run["status"], "succeeded", "{run:#}");
    let steps: Vec<_> =
        run["steps"].as_array().unwrap().iter().map(|s| s["step"].as_str().unwrap()).collect();
    assert_eq!(steps, ["validate", "prepare", "perform", "verify", "record"]);
    eprintln!("{run:#}");
    assert!(bench.is_ready("points"));
    assert_eq!(bench.ready("points").await.0, 200);
    let runs = fs::read_link(format!("/proc/{}/exe", bench.process("points").pid)).unwrap();
    assert!(runs.starts_with(bench.place.versions()), "{}", runs.display());
    // Back once more would be the broken one: it is not proven, and the live one goes on.
    let said = bench.run(&["rollback", "validate", "points"]).await;
    assert!(said.code != 0 && said.err.contains("does not become ready"), "{}", said.err);
    assert_eq!(bench.ready("points").await.0, 200);
    bench.ok(&["down"]).await;
    bench.assert_gone();
}
