//! What anybody may know of how everything does, as a page and as data.

use serde_json::{Value, json};
use sqlx::{PgPool, query};

use crate::app::{TestApp, firing, labelled, resolved};

async fn status(app: &TestApp) -> Value {
    let reply = app.api.get("/v1/status").send().await.expect(200);
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("cache-control"), "public, max-age=5");
    reply.json()
}

async fn page(app: &TestApp) -> String {
    app.api.get("/").send().await.expect(200).text()
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_program_reads_what_the_page_shows_and_nothing_private(db: PgPool) {
    let app = TestApp::new(db);
    let quiet = status(&app).await;
    assert_eq!(
        (&quiet["overall"], &quiet["active_incidents"]),
        (&json!("OPERATIONAL"), &json!([]))
    );
    let services: Vec<_> = quiet["services"].as_array().unwrap().clone();
    assert_eq!(
        services[1],
        json!({ "name": "points", "status": "OPERATIONAL", "availability": 1.0, "days_affected": 0 })
    );
    assert_eq!(services.len(), 4);
    assert_eq!(page(&app).await.matches("100 % available, no incidents recorded").count(), 8);

    let id = app.open(&firing("a")).await;
    app.act(&id, "comments", json!({ "text": "only-for-operators" })).await.expect(200);
    app.act(&id, "roles", json!({ "role": "commander", "holder": "Ada" })).await.expect(200);
    app.deliver(&[labelled("w", json!({ "severity": "warning", "service": "auth" }))])
        .await
        .expect(200);
    let burning = status(&app).await;
    assert_eq!(burning["overall"], "CRITICAL");
    let of = |name: &str| {
        let services = burning["services"].as_array().unwrap();
        services.iter().find(|service| service["name"] == name).unwrap()["status"].clone()
    };
    assert_eq!(["auth", "points", "booking"].map(of), ["DEGRADED", "CRITICAL", "OPERATIONAL"]);
    let active = burning["active_incidents"].as_array().unwrap();
    assert_eq!((&active[0]["severity"], &active[0]["title"]), (&json!("P0"), &json!("a fails")));
    let names: Vec<_> = active[0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["number", "opened_at", "severity", "status", "title"]);
    assert_eq!(active.len(), 2);
    for private in [id.as_str(), "only-for-operators", "Ada", "fingerprint", "HighErrorRate"] {
        assert!(!burning.to_string().contains(private), "{private}");
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn availability_is_counted_from_the_record(db: PgPool) {
    let app = TestApp::new(db);
    let id: uuid::Uuid = app.open(&firing("a")).await.parse().unwrap();
    app.deliver(&[resolved(&firing("a"))]).await.expect(200);
    let nine_days = "UPDATE incident SET (opened_at, started_at) = (now() - interval '12 days', now() - interval '12 days'),
        resolved_at = now() - interval '3 days' WHERE incident_id = $1";
    query(nine_days).bind(id).execute(&app.db).await.unwrap();
    let points = &status(&app).await["services"][1];
    assert_eq!(points["days_affected"], 10);
    let availability = points["availability"].as_f64().unwrap();
    assert!((availability - 0.9).abs() < 1e-6, "{availability}");
    assert!(page(&app).await.contains(" % available, incidents on 10 days"));
}
