//! The public status, as a page and as data.

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
        json!({ "name": "points", "status": "OPERATIONAL", "availability": null, "days_known": 0, "days_affected": 0 })
    );
    assert_eq!(services.len(), 4);
    let unwatched = "watched for less than a day, no incidents recorded, 90 days unknown";
    assert_eq!(page(&app).await.matches(unwatched).count(), 8);

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
    assert_eq!(
        (&active[0]["severity"], &active[0]["title"]),
        (&json!("P0"), &json!("points does not work"))
    );
    let names: Vec<_> = active[0].as_object().unwrap().keys().collect();
    assert_eq!(names, ["number", "opened_at", "service", "severity", "status", "title"]);
    assert_eq!(active.len(), 2);
    for private in
        [id.as_str(), "only-for-operators", "Ada", "fingerprint", "HighErrorRate", "a fails"]
    {
        assert!(!burning.to_string().contains(private), "{private}");
    }
}

/// Records that the alerting chain was alive on each of the last days, until now.
async fn watched(app: &TestApp, days: i32) {
    let days_before = "INSERT INTO watched_day (day, from_at, until_at)
         SELECT d::date, d AT TIME ZONE 'UTC', LEAST(now(), (d + interval '1 day') AT TIME ZONE 'UTC')
         FROM generate_series(date_trunc('day', now() AT TIME ZONE 'UTC') - make_interval(days => $1 - 1),
                              now() AT TIME ZONE 'UTC', interval '1 day') AS d
         ON CONFLICT DO NOTHING";
    query(days_before).bind(days).execute(&app.db).await.unwrap();
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn days_before_anybody_watched_are_unknown_and_no_boast(db: PgPool) {
    let app = TestApp::new(db);
    // The first heartbeat of a new system.
    let labels = json!({ "alertname": "Watchdog", "severity": "none", "service": "prometheus" });
    app.deliver(&[labelled("w", labels)]).await.expect(200);
    let young = page(&app).await;
    let said = "watched for less than a day, no incidents recorded, 89 days unknown";
    assert_eq!(young.matches(said).count(), 8, "{young}");
    assert!(!young.contains(" % available"));
    assert_eq!(young.matches("<rect class=\"good\"").count(), 4);
    assert_eq!(young.matches("<rect class=\"unknown\"").count(), 4 * 89);
    let points = &status(&app).await["services"][1];
    assert_eq!((&points["availability"], &points["days_known"]), (&Value::Null, &json!(1)));

    watched(&app, 11).await;
    let points = &status(&app).await["services"][1];
    assert_eq!((&points["availability"], &points["days_known"]), (&json!(1.0), &json!(11)));
    let said = "100 % available, no incidents recorded, 79 days unknown";
    assert_eq!(page(&app).await.matches(said).count(), 8);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn availability_is_counted_from_the_record(db: PgPool) {
    let app = TestApp::new(db);
    let id: uuid::Uuid = app.open(&firing("a")).await.parse().unwrap();
    app.deliver(&[resolved(&firing("a"))]).await.expect(200);
    let nine_days = "UPDATE incident SET (opened_at, started_at) = (now() - interval '12 days', now() - interval '12 days'),
        resolved_at = now() - interval '3 days' WHERE incident_id = $1";
    query(nine_days).bind(id).execute(&app.db).await.unwrap();
    watched(&app, 91).await;
    let points = &status(&app).await["services"][1];
    assert_eq!(points["days_affected"], 10);
    let availability = points["availability"].as_f64().unwrap();
    assert!((availability - 0.9).abs() < 1e-6, "{availability}");
    assert!(page(&app).await.contains(" % available, incidents on 10 days"));
}
