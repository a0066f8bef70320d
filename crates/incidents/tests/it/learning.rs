//! Postmortems, actions, statistics, and the monthly report.

use chrono::{NaiveDate, TimeDelta};
use incidents::app::{Incidents, Policy};
use incidents::report::monthly;
use kit::Clock;
use kit::caller::Role;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::app_pool;

use crate::app::{TestApp, firing, labelled, resolved, with};

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_postmortem_is_made_from_the_record_then_edited_then_done(db: PgPool) {
    let app = TestApp::new(db);
    let alert = with(firing("a"), "/annotations/summary", "Points <b>fails</b> | all");
    let id = app.open(&alert).await;
    app.act(&id, "roles", json!({ "role": "commander", "holder": "Ada" })).await.expect(200);
    app.act(&id, "comments", json!({ "text": "Saw `it`\n# no heading" })).await.expect(200);
    app.act(&id, "status", json!({ "status": "resolved", "note": "Rolled back" }))
        .await
        .expect(200);

    let path = format!("/v1/incidents/{id}/postmortem");
    let made = app.get(&path).await.expect(200).json();
    assert_eq!(made["version"], 0);
    let body = made["body"].as_str().unwrap();
    for part in [
        "# Postmortem: INC-",
        "&lt;b&gt;fails&lt;/b&gt; \\| all",
        "| Commander | Ada |",
        "What ended it: Rolled back",
        "Saw \\`it\\` \\# no heading",
        "1. Why did it happen? We saw: HighErrorRate",
        "Not ticked: ",
    ] {
        assert!(body.contains(part), "{part}\n{body}");
    }

    let edit = |body: &str, version: i64, done: bool| json!({ "body": body, "version": version, "done": done });
    // A version that does not exist is refused.
    app.act(&id, "postmortem", edit("# Guessed", 7, false)).await.expect(409);
    app.act(&id, "postmortem", edit("# Ours", 0, false)).await.expect(200);
    // A second edit of the same version is refused.
    let late = app.act(&id, "postmortem", edit("# Theirs", 0, false)).await.expect(409);
    assert_eq!(late.code(), "postmortem_changed");
    let metrics = String::from_utf8(observability::metrics::render().1).unwrap();
    let counted = "concurrency_conflict_total{aggregate=\"postmortem\"} ";
    assert!(metrics.contains(counted) && !metrics.contains(&format!("{counted}0\n")), "counted");
    app.act(&id, "postmortem", edit("# Ours, done", 1, true)).await.expect(200);
    assert_eq!(app.incident(&id).await["status"], "postmortem_done");
    assert_eq!(app.get(&path).await.expect(200).json()["body"], "# Ours, done");

    let file = app.get(&format!("{path}.md")).await.expect(200);
    assert_eq!(file.header("content-type"), "text/markdown; charset=utf-8");
    assert!(file.header("content-disposition").contains("INC-"));
    assert_eq!(file.text(), "# Ours, done");
    for (body, version) in [("", 2), (" \n ", 2), ("a\0b", 2), ("x", -1)] {
        app.act(&id, "postmortem", edit(body, version, false)).await.expect(422);
    }
    app.act(&id, "postmortem", edit(&"x".repeat(40_001), 2, false)).await.expect(422);
    app.get(&format!("/v1/incidents/{}/postmortem", Clock::system().id())).await.expect(404);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_postmortem_is_not_done_while_it_burns(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    let body = json!({ "body": "# x", "version": 0, "done": true });
    assert_eq!(app.act(&id, "postmortem", body).await.expect(422).code(), "status_not_allowed");
    assert_eq!(app.count("postmortem").await, 0);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn people_are_reminded_of_an_action_once_at_each_time_whatever_restarts(db: PgPool) {
    let app = TestApp::new(db.clone());
    let id = app.open(&firing("a")).await;
    let made = Clock::system().now();
    let due = made.date_naive() + TimeDelta::days(10);
    let action = json!({ "text": "Test it", "priority": "high", "assignee": "Ada", "due": due });
    let detail = app.act(&id, "actions", action).await.expect(200).json();
    let action = detail["actions"][0]["action_id"].as_str().unwrap().to_owned();

    let on = |day: i64| {
        let clock = Clock::fixed(made + TimeDelta::days(day));
        Incidents::new(app_pool(&db, "incidents_app"), clock, Policy::default())
    };
    let mut reminded = Vec::new();
    for day in 0..14 {
        // The job runs twice on each day, each time in a new process.
        for _ in 0..2 {
            if on(day).remind_of_actions().await.unwrap() == 1 {
                reminded.push(day);
            }
        }
    }
    assert_eq!(reminded, [3, 7, 10, 11]);
    assert_eq!(app.count("outbox_event WHERE kind = 'incident.action'").await, 4);

    app.act(&id, &format!("actions/{action}/done"), json!({})).await.expect(200);
    app.act(&id, &format!("actions/{action}/done"), json!({})).await.expect(200);
    assert_eq!(app.count("incident_event WHERE text = 'Done: Test it'").await, 1);
    assert_eq!(on(30).remind_of_actions().await.unwrap(), 0);
    let open = app.get("/v1/actions").await.expect(200).json();
    assert_eq!(open, json!([]));
    assert_eq!(app.get("/v1/actions?open=false").await.expect(200).json()[0]["text"], "Test it");
    let nobodys = format!("actions/{}/done", Clock::system().id());
    app.act(&id, &nobodys, json!({})).await.expect(404);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_comes_back_is_counted_and_a_month_is_reported(db: PgPool) {
    let app = TestApp::new(db);
    // Three incidents of one cause, and one of another.
    for day in 1..=3 {
        let again = with(firing("disk"), "/startsAt", format!("2020-01-0{day}T00:00:00Z"));
        app.deliver(std::slice::from_ref(&again)).await.expect(200);
        let over = with(resolved(&again), "/endsAt", format!("2020-01-0{day}T02:00:00Z"));
        app.deliver(&[over]).await.expect(200);
    }
    app.deliver(&[labelled("n", json!({ "severity": "info", "service": "auth" }))])
        .await
        .expect(200);

    let found = app.get("/v1/statistics?days=7").await.expect(200).json();
    assert_eq!(found["incidents"], 4);
    assert_eq!(found["by_severity"], json!([3, 0, 0, 1]));
    assert_eq!(found["repeats"], json!([{ "name": "disk fails", "count": 3 }]));
    assert_eq!(found["mttr_seconds"], 7200.0);
    assert_eq!(app.get("/v1/statistics?days=0").await.expect(422).code(), "invalid_value");

    let month = Clock::system().now().format("%Y-%m").to_string().parse().unwrap();
    let report = monthly(&app.incidents, month).await.unwrap();
    for part in [
        "| incidents | 4 | 0 |",
        "| P0 | 3 | 0 |",
        "| mean time to resolve | 2 h 0 min | – |",
        "* 3 × disk fails",
        "0 open, 0 overdue",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    let incident = app.incidents().await.into_iter().find(|i| i["severity"] == "P0").unwrap();
    let path = format!("/v1/incidents/{}/postmortem", incident["incident_id"].as_str().unwrap());
    let made = app.get(&path).await.expect(200).json();
    assert!(made["body"].as_str().unwrap().contains("occurred 2 times in the 90 days before"));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_incident_comes_with_advice(db: PgPool) {
    let app = TestApp::new(db);
    let deployed = (Clock::system().now() - TimeDelta::minutes(10)).timestamp().to_string();
    let mut alert = labelled(
        "a",
        json!({ "alertname": "PanicDetected", "severity": "critical", "service": "points" }),
    );
    alert["annotations"] = json!({ "deployed_at": deployed });
    let id = app.open(&alert).await;
    let advice = |incident: &Value| -> Vec<Value> {
        incident["advice"].as_array().unwrap().iter().map(|a| a["repair"].clone()).collect()
    };
    let incident = app.incident(&id).await;
    assert_eq!(advice(&incident), ["rollback", "restart"]);
    assert!(incident["advice"][0]["why"].as_str().unwrap().contains("deployed 10 min ago"));
    app.deliver(&[resolved(&alert)]).await.expect(200);
    assert!(advice(&app.incident(&id).await).is_empty());
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_is_learned_is_for_operators(db: PgPool) {
    let app = TestApp::new(db);
    let id = app.open(&firing("a")).await;
    let member = app.issuer.with_roles(Clock::system().id(), &[Role::Member]);
    for path in [
        "/v1/statistics",
        "/v1/actions",
        &format!("/v1/incidents/{id}/postmortem"),
        &format!("/v1/incidents/{id}/postmortem.md"),
    ] {
        app.api.get(path).bearer(&member).send().await.expect(403);
        app.api.get(path).send().await.expect(401);
    }
    let due = NaiveDate::from_ymd_opt(2030, 1, 1).unwrap();
    let body = json!({ "text": "x", "priority": "low", "assignee": "y", "due": due });
    let path = format!("/v1/incidents/{id}/actions");
    app.api.post(&path).bearer(&member).key("k").json(&body).send().await.expect(403);
    for (field, value) in [
        ("text", json!("")),
        ("due", json!("2026-02-30")),
        ("due", json!("+99999-01-01")),
        ("priority", json!("urgent")),
        ("assignee", json!("a\nb")),
    ] {
        let mut wrong = body.clone();
        wrong[field] = value;
        app.act(&id, "actions", wrong).await.expect(422);
    }
}
