//! Alerts of one cause are one incident.

use serde_json::{Value, json};
use sqlx::PgPool;

use crate::app::{TestApp, firing, labelled, resolved, with};

fn of_pod(pod: &str, severity: &str) -> Value {
    let labels =
        json!({ "alertname": "Slow", "service": "points", "pod": pod, "severity": severity });
    labelled(pod, labels)
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn alerts_of_one_cause_share_an_incident_until_the_last_one_ends(db: PgPool) {
    let app = TestApp::new(db);
    let [a, b, c] = ["a", "b", "c"].map(|pod| of_pod(pod, "warning"));
    let outcome = app.deliver(&[a.clone(), b.clone()]).await.expect(200).json();
    assert_eq!((&outcome["opened"], &outcome["joined"]), (&json!(1), &json!(1)));
    let outcome = app.deliver(std::slice::from_ref(&c)).await.expect(200).json();
    assert_eq!((&outcome["opened"], &outcome["joined"]), (&json!(0), &json!(1)));
    assert_eq!(app.incidents().await.len(), 1);

    app.deliver(&[resolved(&a), resolved(&b)]).await.expect(200);
    assert_eq!(app.incidents().await[0]["status"], "investigating");
    app.deliver(&[resolved(&c)]).await.expect(200);
    assert_eq!(app.incidents().await[0]["status"], "resolved");
    // When its cause returns, that is another incident.
    app.deliver(&[with(a, "/startsAt", "2030-01-02T00:00:00Z")]).await.expect(200);
    assert_eq!(app.incidents().await.len(), 2);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_thousand_reordered_duplicates_in_parallel_are_as_many_incidents_as_causes(db: PgPool) {
    let app = TestApp::new(db);
    let alert = |n: usize| with(firing(&n.to_string()), "/labels/cause", (n % 20).to_string());
    let deliveries = (0..40).map(|d| {
        let alerts: Vec<_> = (0..25).map(|i| alert((d * 977 + i * 131) % 500)).collect();
        app.delivery(&crate::app::payload(&alerts)).send()
    });
    for reply in futures::future::join_all(deliveries).await {
        reply.expect(200);
    }
    assert_eq!(app.count("incident").await, 20);
    let mut numbers: Vec<_> = app.incidents().await.iter().map(|i| i["number"].clone()).collect();
    numbers.sort_by_key(ToString::to_string);
    let year = chrono::Datelike::year(&kit::Clock::system().now());
    let expected: Vec<_> = (1..=20).map(|n| json!(format!("INC-{year}-{n:04}"))).collect();
    assert_eq!(numbers, expected);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_worse_alert_escalates_and_a_milder_one_does_not_calm(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&of_pod("a", "warning")).await;
    app.deliver(&[of_pod("b", "error")]).await.expect(200);
    app.deliver(&[of_pod("c", "info")]).await.expect(200);

    let incident = app.incident(&id).await;
    assert_eq!(
        (&incident["severity"], &incident["rule"]),
        (&json!("P1"), &json!("label severity=error"))
    );
    let history = incident["severities"].as_array().unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((&history[0]["was"], &history[0]["severity"]), (&json!("P2"), &json!("P1")));

    // No alert changes a person's decision.
    app.act(&id, "severity", json!({ "severity": "P3", "reason": "a test system" }))
        .await
        .expect(200);
    app.deliver(&[of_pod("d", "critical")]).await.expect(200);
    let incident = app.incident(&id).await;
    assert_eq!(incident["severity"], "P3");
    assert_eq!(incident["severities"][1]["reason"], "a test system");
    assert_eq!(incident["alerts"].as_array().unwrap().len(), 4);
}
