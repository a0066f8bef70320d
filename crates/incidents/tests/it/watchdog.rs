//! Silence of Prometheus or Alertmanager opens an incident.

use chrono::{DateTime, TimeDelta, Utc};
use incidents::app::{Incidents, Policy};
use kit::Clock;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::app_pool;

use crate::app::{TestApp, labelled, resolved, with};

fn watchdog(evaluated_at: DateTime<Utc>) -> Value {
    let labels = json!({ "alertname": "Watchdog", "severity": "none", "service": "prometheus" });
    let mut alert = labelled("w", labels);
    alert["annotations"] = json!({ "evaluated_at": evaluated_at.timestamp().to_string() });
    alert
}

struct Scene {
    app: TestApp,
    begun: DateTime<Utc>,
}

impl Scene {
    fn new(db: PgPool) -> Self {
        Self { app: TestApp::new(db), begun: Clock::system().now() }
    }

    /// Returns the service at that second of the scene.
    fn at(&self, second: i64) -> Incidents {
        let clock = Clock::fixed(self.begun + TimeDelta::seconds(second));
        Incidents::new(app_pool(&self.app.db, "incidents_app"), clock, Policy::default())
    }

    async fn look(&self, second: i64) -> Vec<(String, String)> {
        self.at(second).watch_silence(self.begun).await.unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let incidents = self.app.incidents().await;
        incidents.iter().map(|i| (text(&i["title"]), text(&i["status"]))).collect()
    }

    async fn hear(&self, second: i64, evaluated: i64) {
        // The router's clock is the machine's, so the time of the heartbeat is set directly.
        let alert = watchdog(self.begun + TimeDelta::seconds(evaluated));
        self.app.deliver(&[alert]).await.expect(200);
        for source in ["alertmanager", "prometheus"] {
            let at = if source == "prometheus" { evaluated } else { second };
            sqlx::query("UPDATE heartbeat SET heard_at = $2 WHERE source = $1")
                .bind(source)
                .bind(self.begun + TimeDelta::seconds(at))
                .execute(&self.app.db)
                .await
                .unwrap();
        }
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn silence_opens_an_incident_and_a_voice_ends_it(db: PgPool) {
    let scene = Scene::new(db);
    // Without any heartbeat, the silence begins with the service.
    assert_eq!(scene.look(90).await, []);
    let silent = |status: &str| ("alertmanager is silent".to_owned(), status.to_owned());
    assert_eq!(scene.look(91).await, [silent("investigating")]);
    assert_eq!(scene.look(200).await, [silent("investigating")]);
    scene.hear(210, 205).await;
    assert_eq!(scene.look(215).await, [silent("resolved")]);
    assert_eq!(scene.look(295).await.len(), 1);

    // Alertmanager repeats an old alert of Prometheus.
    scene.hear(300, 205).await;
    let found = scene.look(301).await;
    assert_eq!(found[0], ("prometheus is silent".to_owned(), "investigating".to_owned()));
    let detail = scene.app.incidents().await;
    assert_eq!(detail[0]["severity"], "P0");
    scene.hear(310, 309).await;
    assert_eq!(scene.look(311).await[0].1, "resolved");
    assert_eq!(scene.app.count("incident").await, 2);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn the_alert_that_always_fires_is_no_incident_and_fills_no_table(db: PgPool) {
    let app = TestApp::new(db);
    let now = Clock::system().now();
    for n in 0..5 {
        let beat =
            with(watchdog(now), "/annotations/evaluated_at", format!("{}", now.timestamp() + n));
        app.deliver(&[beat]).await.expect(200);
    }
    assert_eq!(app.count("alert_delivery").await, 0);
    assert_eq!(app.count("incident").await, 0);
    assert_eq!(app.count("heartbeat").await, 2);
    // A clock that runs ahead does not let Prometheus be silent for longer.
    let ahead = now + TimeDelta::days(1);
    app.deliver(&[watchdog(ahead)]).await.expect(200);
    assert_eq!(app.count("heartbeat WHERE heard_at > now() + interval '1 minute'").await, 0);
}

/// Alertmanager repeats the last alert of Prometheus: Alertmanager is alive, Prometheus may not be.
#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn prometheus_is_heard_when_it_evaluated_and_not_when_alertmanager_repeats_it(db: PgPool) {
    let app = TestApp::new(db);
    let silent_for = async |source: &str| -> f64 {
        let age =
            "SELECT EXTRACT(EPOCH FROM now() - heard_at)::float8 FROM heartbeat WHERE source = $1";
        sqlx::query_scalar(age).bind(source).fetch_one(&app.db).await.unwrap()
    };
    let now = Clock::system().now();
    app.deliver(&[watchdog(now - TimeDelta::minutes(5))]).await.expect(200);
    assert!((299.0..330.0).contains(&silent_for("prometheus").await));
    assert!((0.0..30.0).contains(&silent_for("alertmanager").await));
    // Alertmanager gives up, because Prometheus has not sent the alert again.
    app.deliver(&[resolved(&watchdog(now))]).await.expect(200);
    assert!((299.0..330.0).contains(&silent_for("prometheus").await));
    app.deliver(&[watchdog(now)]).await.expect(200);
    assert!((0.0..30.0).contains(&silent_for("prometheus").await));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_came_before_we_listened_is_not_held_against_anybody(db: PgPool) {
    let scene = Scene::new(db);
    scene.hear(-3600, -3600).await;
    assert_eq!(scene.look(60).await, []);
    assert_eq!(scene.look(91).await.len(), 1);
}
