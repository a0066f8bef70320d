use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;

use crate::app::{TestApp, firing, labelled, payload, resolved, with};

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_alert_opens_an_incident(db: PgPool) {
    let app = TestApp::new(db);

    let outcome = app.deliver(&[firing("a")]).await.expect(200).json();
    assert_eq!(
        outcome,
        json!({ "opened": 1, "joined": 0, "resolved": 0, "duplicate": 0, "unknown": 0, "contradicted": 0, "unverified": 0 })
    );

    let incidents = app.incidents().await;
    let incident = &incidents[0];
    assert_eq!(incidents.len(), 1);
    for (field, value) in [
        ("title", json!("a fails")),
        ("service", json!("points")),
        ("severity", json!("P0")),
        ("classification_uncertain", json!(false)),
        ("status", json!("investigating")),
        ("incomplete", json!(false)),
        ("started_at", json!("2030-01-01T00:00:00.123456Z")),
        ("resolved_at", Value::Null),
    ] {
        assert_eq!(incident[field], value, "{field}");
    }
    let path = format!("/v1/incidents/{}", incident["incident_id"].as_str().unwrap());
    let detail = app.get(&path).await.expect(200).json();
    assert_eq!(detail["title"], "a fails");
    assert_eq!(detail["alerts"][0]["fingerprint"], "a");
    assert_eq!(detail["alerts"][0]["labels"]["alertname"], "HighErrorRate");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_alert_told_ten_times_is_one_incident(db: PgPool) {
    let app = TestApp::new(db);
    app.deliver(&[firing("a")]).await.expect(200);
    let first = app.incidents().await;

    for _ in 0..9 {
        let outcome = app.deliver(&[firing("a")]).await.expect(200).json();
        assert_eq!((&outcome["opened"], &outcome["duplicate"]), (&json!(0), &json!(1)));
    }
    // A different repetition changes nothing, nor does the same alert twice in one delivery.
    let louder = with(firing("a"), "/annotations/summary", "A FAILS!");
    app.deliver(&[louder.clone(), firing("a")]).await.expect(200);

    assert_eq!(app.incidents().await, first);
    assert_eq!(app.count("alert_delivery").await, 2);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn parallel_deliveries_of_one_alert_are_one_incident(db: PgPool) {
    let app = TestApp::new(db);
    let alerts: Vec<_> = (0..500).map(|n| firing(&format!("alert-{n}"))).collect();
    let over: Vec<_> = alerts.iter().map(resolved).collect();

    assert_eq!(at_once(&app, &alerts, "opened").await, 500);
    assert_eq!(app.count("incident").await, 500);
    assert_eq!(at_once(&app, &over, "resolved").await, 500);
    assert_eq!(app.count("incident WHERE status = 'resolved'").await, 500);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn two_deliveries_in_opposite_order_do_not_lock_each_other_out(db: PgPool) {
    // Two replicas, because each stores its deliveries one after the other.
    let (app, other) = (TestApp::new(db.clone()), TestApp::new(db));
    let there = ["a", "m", "z"].map(firing);
    let mut back = there.clone();
    back.reverse();

    // The alert in the middle is locked until both have come as far as they can.
    let mut held = app.db.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO alert (fingerprint, starts_at, incident_id, labels, annotations)
         VALUES ('m', '2030-01-01T00:00:00.123456Z', gen_random_uuid(), '{}', '{}')",
    )
    .execute(&mut *held)
    .await
    .unwrap();
    let let_go = async {
        eventually(Duration::from_secs(5), || async {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(&app.db)
            .await
            .unwrap();
            (waiting == 2).then_some(())
        })
        .await;
        held.rollback().await.unwrap();
    };
    let (there, back, ()) = tokio::join!(app.deliver(&there), other.deliver(&back), let_go);

    let (there, back) = (there.expect(200).json(), back.expect(200).json());
    let opened = there["opened"].as_u64().unwrap() + back["opened"].as_u64().unwrap();
    assert_eq!(opened, 3);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_delivery_waits_for_what_another_replica_holds(db: PgPool) {
    let app = TestApp::new(db);
    let mut held = app.db.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO alert (fingerprint, starts_at, incident_id, labels, annotations)
         VALUES ('a', '2030-01-01T00:00:00.123456Z', gen_random_uuid(), '{}', '{}')",
    )
    .execute(&mut *held)
    .await
    .unwrap();
    // Longer than a statement waits for a lock.
    let let_go = async {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        held.rollback().await.unwrap();
    };
    let alerts = [firing("a")];
    let (waits, ()) = tokio::join!(app.deliver(&alerts), let_go);
    assert_eq!(waits.expect(200).json()["opened"], 1);
    assert_eq!(app.count("incident").await, 1);
}

/// Delivers the alerts 32 times in parallel, in either order, and adds up one field of the outcomes.
async fn at_once(app: &TestApp, alerts: &[Value], field: &str) -> u64 {
    // All connections are open, so that the first deliveries meet, too.
    join_all((0..10).map(|_| app.list(""))).await;
    let backwards: Vec<_> = alerts.iter().rev().cloned().collect();
    let deliveries = (0..32).map(|n| {
        let payload = payload(if n % 2 == 0 { alerts } else { &backwards });
        // Each delivery differs, so that they meet at the alerts and not before.
        app.delivery(&with(payload, "/groupKey", n)).send()
    });
    let replies = join_all(deliveries).await;
    replies.into_iter().map(|reply| reply.expect(200).json()[field].as_u64().unwrap()).sum()
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_incident_is_over_when_its_alert_is(db: PgPool) {
    let app = TestApp::new(db);
    app.deliver(&[firing("a"), firing("b")]).await.expect(200);

    let outcome = app.deliver(&[resolved(&firing("a"))]).await.expect(200).json();
    assert_eq!(
        outcome,
        json!({ "opened": 0, "joined": 0, "resolved": 1, "duplicate": 0, "unknown": 0, "contradicted": 0, "unverified": 0 })
    );
    let again = app.deliver(&[resolved(&firing("a"))]).await.expect(200).json();
    assert_eq!(
        again,
        json!({ "opened": 0, "joined": 0, "resolved": 0, "duplicate": 1, "unknown": 0, "contradicted": 0, "unverified": 0 })
    );
    // The alert has ended before.
    app.deliver(&[firing("a")]).await.expect(200);

    let incidents = app.incidents().await;
    let status = |title: &str| incidents.iter().find(|i| i["title"] == title).unwrap().clone();
    assert_eq!(status("a fails")["status"], "resolved");
    assert_eq!(status("a fails")["resolved_at"], "2030-01-01T00:10:00Z");
    assert_eq!(status("b fails")["status"], "investigating");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn firing_again_after_it_was_over_is_another_incident(db: PgPool) {
    let app = TestApp::new(db);
    app.deliver(&[firing("a")]).await.expect(200);
    app.deliver(&[resolved(&firing("a"))]).await.expect(200);

    let again = with(firing("a"), "/startsAt", "2030-01-02T00:00:00Z");
    let outcome = app.deliver(&[again]).await.expect(200).json();

    assert_eq!(outcome["opened"], 1);
    let status: Vec<_> = app.incidents().await.iter().map(|i| i["status"].clone()).collect();
    assert_eq!(status, ["investigating", "resolved"]);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn the_end_of_what_never_fired_is_ignored_and_counted(db: PgPool) {
    let app = TestApp::new(db);
    let before = ignored();
    let outcome = app.deliver(&[resolved(&firing("a"))]).await.expect(200).json();
    assert_eq!(
        outcome,
        json!({ "opened": 0, "joined": 0, "resolved": 0, "duplicate": 0, "unknown": 1, "contradicted": 0, "unverified": 0 })
    );
    assert!(app.incidents().await.is_empty());
    assert_eq!(ignored(), before + 1);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_alert_that_ends_before_it_starts_took_no_time(db: PgPool) {
    let app = TestApp::new(db);
    app.deliver(&[firing("a")]).await.expect(200);
    let skewed = with(resolved(&firing("a")), "/endsAt", "2029-12-31T23:55:00Z");
    app.deliver(&[skewed]).await.expect(200);

    let incident = &app.incidents().await[0];
    assert_eq!(incident["resolved_at"], incident["started_at"]);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn every_alert_gets_exactly_one_severity(db: PgPool) {
    let app = TestApp::new(db);
    for (n, (label, severity, uncertain)) in [
        (json!({ "severity": "critical" }), "P0", false),
        (json!({ "severity": "error" }), "P1", false),
        (json!({ "severity": "warning" }), "P2", false),
        (json!({ "severity": "P3" }), "P3", false),
        (json!({ "severity": "P9" }), "P2", true),
        (json!({ "severity": "" }), "P2", true),
        (json!({}), "P2", true),
        (json!({ "alertname": "CriticalMemoryLeak", "errorRate": "50" }), "P2", true),
    ]
    .into_iter()
    .enumerate()
    {
        app.deliver(&[labelled(&format!("{n}"), label.clone())]).await.expect(200);
        let incident = &app.incidents().await[0];
        assert_eq!(incident["severity"], severity, "{label}");
        assert_eq!(incident["classification_uncertain"], uncertain, "{label}");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn incidents_of_a_truncated_delivery_are_incomplete(db: PgPool) {
    let app = TestApp::new(db);
    let truncated = with(payload(&[firing("a")]), "/truncatedAlerts", 7);
    app.delivery(&truncated).send().await.expect(200);
    assert_eq!(app.incidents().await[0]["incomplete"], true);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_storm_is_taken_in_one_delivery(db: PgPool) {
    let app = TestApp::new(db);
    let storm: Vec<_> = (0..2_000).map(|n| labelled(&format!("{n:016x}"), json!({}))).collect();
    let outcome = app.deliver(&storm).await.expect(200).json();
    assert_eq!(outcome["opened"], 2_000);
    assert_eq!(app.count("incident").await, 2_000);
}

/// Returns the number of alerts that this process has ignored so far.
fn ignored() -> u64 {
    let (_, text) = observability::metrics::render();
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find(|l| l.starts_with("incidents_alerts_total{result=\"unknown\"}"));
    line.unwrap().split(' ').next_back().unwrap().parse().unwrap()
}
