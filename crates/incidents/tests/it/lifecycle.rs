//! An incident from investigating to postmortem done, with its timeline.

use chrono::TimeDelta;
use incidents::app::{Incidents, Policy};
use kit::Clock;
use kit::caller::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::app_pool;

use crate::app::{TestApp, firing, labelled, with};

fn kinds(incident: &Value) -> Vec<&str> {
    incident["timeline"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect()
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_incident_is_lived_through_and_told(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    for (what, body) in [
        ("acknowledgement", json!({})),
        ("acknowledgement", json!({})),
        ("roles", json!({ "role": "commander", "holder": "Ada" })),
        ("roles", json!({ "role": "commander", "holder": "Grace" })),
        ("services", json!({ "service": "booking" })),
        ("checks", json!({ "item": "commander", "done": true })),
        ("comments", json!({ "text": "<b>Two lines\nof it</b>" })),
        ("timeline", json!({ "at": "2029-12-31T23:59:00Z", "text": "A deploy" })),
        ("status", json!({ "status": "identified" })),
        ("status", json!({ "status": "investigating", "note": "No, it was not that" })),
        ("status", json!({ "status": "resolved", "note": "Rolled back" })),
    ] {
        app.act(&id, what, body).await.expect(200);
    }
    let incident = app.incident(&id).await;
    assert_eq!(incident["status"], "resolved");
    assert_eq!(incident["resolution"], "Rolled back");
    assert_eq!(incident["services"], json!(["booking", "points"]));
    assert_eq!(incident["roles"], json!([{ "role": "commander", "holder": "Grace" }]));
    assert!(incident["acknowledged_at"].is_string());
    let ticked: Vec<_> = incident["checklist"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["done_at"].is_string())
        .map(|check| check["item"].clone())
        .collect();
    assert_eq!(ticked, ["commander"]);
    assert_eq!(incident["checklist"].as_array().unwrap().len(), 14);
    let mut told = kinds(&incident);
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "acknowledged",
            "checklist",
            "comment",
            "note",
            "opened",
            "role",
            "role",
            "service",
            "status",
            "status",
            "status"
        ]
    );

    let reply = app.act(&id, "status", json!({ "status": "monitoring" })).await.expect(422);
    assert_eq!(reply.code(), "status_not_allowed");
    assert_eq!(
        app.act(&id, "acknowledgement", json!({})).await.expect(422).code(),
        "incident_over"
    );
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_repeated_command_is_done_once_and_answered_alike(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    let operator = app.issuer.with_roles(Clock::system().id(), &[Role::Operator]);
    let path = format!("/v1/incidents/{id}/comments");
    let call = app.api.post(&path).bearer(&operator).key("k").json(json!({ "text": "Hello" }));
    let first = call.clone().send().await.expect(200);
    let again = call.send().await.expect(200);
    assert_eq!(first.body, again.body);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(app.count("incident_event WHERE kind = 'comment'").await, 1);

    let reply = app.api.post(&path).bearer(&operator).json(json!({ "text": "x" })).send().await;
    assert_eq!(reply.expect(400).code(), "idempotency_key_required");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_makes_no_sense_is_refused(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    for (what, body, status, code) in [
        ("status", json!({ "status": "investigating" }), 422, "status_not_allowed"),
        ("status", json!({ "status": "postmortem_done" }), 422, "status_not_allowed"),
        ("status", json!({ "status": "burning" }), 422, "invalid_value"),
        ("severity", json!({ "severity": "P9", "reason": "r" }), 422, "invalid_value"),
        ("severity", json!({ "severity": "P1", "reason": " " }), 422, "invalid_text"),
        ("comments", json!({ "text": "" }), 422, "invalid_text"),
        ("comments", json!({ "text": "x".repeat(4_001) }), 422, "invalid_text"),
        ("timeline", json!({ "at": "0001-01-01T00:00:00Z", "text": "x" }), 422, "invalid_time"),
        ("roles", json!({ "role": "king", "holder": "A" }), 422, "invalid_value"),
        ("roles", json!({ "role": "commander", "holder": "A\nB" }), 422, "invalid_text"),
        ("checks", json!({ "item": "coffee", "done": true }), 422, "unknown_check"),
        ("merge", json!({ "incident_id": id }), 422, "same_incident"),
        ("links", json!({ "incident_id": Clock::system().id() }), 404, "not_found"),
        ("acknowledgement", json!({ "by": "me" }), 422, "unknown_field"),
    ] {
        let reply = app.act(&id, what, body.clone()).await.expect(status);
        assert_eq!(reply.code(), code, "{what} {body}");
    }
    let stranger = Clock::system().id().to_string();
    app.act(&stranger, "acknowledgement", json!({})).await.expect(404);
    let member = app.issuer.member(Clock::system().id());
    let path = format!("/v1/incidents/{id}/acknowledgement");
    app.api.post(&path).bearer(&member).key("k").json(json!({})).send().await.expect(403);
    assert_eq!(kinds(&app.incident(&id).await), ["opened"]);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_merge_moves_the_alerts_and_a_link_is_seen_from_both_sides(db: PgPool) {
    let app = TestApp::new(db);
    let a = app.open(&firing("a")).await;
    let b = app.open(&with(firing("b"), "/labels/service", "auth")).await;
    let c = app.open(&firing("c")).await;
    app.act(&a, "links", json!({ "incident_id": c })).await.expect(200);
    assert_eq!(app.incident(&c).await["links"][0]["incident_id"], json!(a));

    app.act(&b, "merge", json!({ "incident_id": a })).await.expect(200);
    let (a, b) = (app.incident(&a).await, app.incident(&b).await);
    assert_eq!((&b["status"], &b["merged_into"]), (&json!("resolved"), &a["incident_id"]));
    assert_eq!(a["alerts"].as_array().unwrap().len(), 2);
    assert_eq!(a["services"], json!(["auth", "points"]));
    assert_eq!(b["alerts"], json!([]));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_target_that_is_missed_is_told_once(db: PgPool) {
    let app = TestApp::new(db);
    let p0 = app.open(&firing("a")).await;
    let p1 = app.open(&labelled("b", json!({ "severity": "error" }))).await;
    app.act(&p1, "acknowledgement", json!({})).await.expect(200);
    let after = |minutes| {
        let clock = Clock::fixed(Clock::system().now() + TimeDelta::minutes(minutes));
        Incidents::new(app_pool(&app.db, "incidents_app"), clock, Policy::default())
    };
    assert_eq!(after(14).mark_breaches().await.unwrap(), 0);
    assert_eq!(after(16).mark_breaches().await.unwrap(), 1);
    assert_eq!(after(61).mark_breaches().await.unwrap(), 0);
    assert_eq!(after(121).mark_breaches().await.unwrap(), 1);
    assert_eq!(after(241).mark_breaches().await.unwrap(), 1);
    assert_eq!(kinds(&app.incident(&p0).await), ["opened", "breach", "breach"]);
    assert_eq!(kinds(&app.incident(&p1).await), ["opened", "acknowledged", "breach"]);
    assert!(app.incident(&p0).await["response_breached_at"].is_string());
}
