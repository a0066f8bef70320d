//! Alerts whose end nobody tells: an Alertmanager that was killed does not know whom it had told.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, TimeDelta, Utc};
use incidents::app::{Incidents, Policy};
use incidents::domain::Missing;
use incidents::peers::Sources;
use kit::Clock;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::app_pool;
use tokio::net::TcpListener;

use crate::app::{TestApp, firing, resolved, with};

/// An Alertmanager and a Prometheus in one, and what they say.
#[derive(Clone)]
struct Said {
    /// None: it does not answer.
    alertmanager: Option<(DateTime<Utc>, Vec<String>)>,
    prometheus: Option<(DateTime<Utc>, Vec<Value>)>,
}

type Saying = State<Arc<Mutex<Said>>>;
type Answer = Result<Json<Value>, StatusCode>;

async fn alertmanager(State(said): &Saying) -> Result<(DateTime<Utc>, Vec<String>), StatusCode> {
    said.lock().unwrap().alertmanager.clone().ok_or(StatusCode::BAD_GATEWAY)
}

async fn prometheus(State(said): &Saying) -> Result<(DateTime<Utc>, Vec<Value>), StatusCode> {
    said.lock().unwrap().prometheus.clone().ok_or(StatusCode::BAD_GATEWAY)
}

async fn am_alerts(said: Saying) -> Answer {
    let alerts = alertmanager(&said).await?.1;
    Ok(Json(alerts.into_iter().map(|f| json!({ "fingerprint": f, "labels": {} })).collect()))
}

async fn am_status(said: Saying) -> Answer {
    Ok(Json(json!({ "uptime": alertmanager(&said).await?.0, "versionInfo": {} })))
}

async fn alerts(said: Saying) -> Answer {
    let labels = prometheus(&said).await?.1.into_iter();
    let alerts: Value = labels.map(|l| json!({ "labels": l, "state": "pending" })).collect();
    Ok(Json(json!({ "status": "success", "data": { "alerts": alerts } })))
}

async fn runtime(said: Saying) -> Answer {
    let started = prometheus(&said).await?.0;
    Ok(Json(json!({ "status": "success", "data": { "startTime": started } })))
}

struct Scene {
    app: TestApp,
    begun: DateTime<Utc>,
    said: Arc<Mutex<Said>>,
    sources: Sources,
    missing: Missing,
}

impl Scene {
    /// One alert has been told, and its sources know nothing of it.
    async fn new(db: PgPool) -> Self {
        let begun = Clock::system().now();
        let said = Said {
            alertmanager: Some((begun - TimeDelta::days(1), vec![])),
            prometheus: Some((begun - TimeDelta::days(1), vec![])),
        };
        let said = Arc::new(Mutex::new(said));
        let router = Router::new()
            .route("/am/api/v2/alerts", get(am_alerts))
            .route("/am/api/v2/status", get(am_status))
            .route("/prometheus/api/v1/alerts", get(alerts))
            .route("/prometheus/api/v1/status/runtimeinfo", get(runtime))
            .with_state(said.clone());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async { axum::serve(socket, router).await });
        let (am, prometheus) = (format!("{at}/am"), format!("{at}/prometheus/"));
        let sources = Sources::new(vec![am], vec![prometheus]).unwrap();
        let app = TestApp::new(db);
        app.deliver(&[firing("a")]).await.expect(200);
        Self { app, begun, said, sources, missing: Missing::default() }
    }

    fn say(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().unwrap());
    }

    /// The service looks at that minute of the scene. How many alerts end by it.
    async fn look(&mut self, minute: i64) -> u64 {
        let clock = Clock::fixed(self.at(minute));
        let policy = Policy { sources: Some(self.sources.clone()), ..Policy::default() };
        let incidents = Incidents::new(app_pool(&self.app.db, "incidents_app"), clock, policy);
        incidents.end_forgotten(&mut self.missing).await.unwrap()
    }

    fn at(&self, minute: i64) -> DateTime<Utc> {
        self.begun + TimeDelta::minutes(minute)
    }

    async fn status(&self) -> Value {
        self.app.incidents().await[0]["status"].clone()
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_alert_that_nobody_knows_any_more_is_over(db: PgPool) {
    let mut scene = Scene::new(db).await;
    // The scene is today; the alert of the other tests starts in years.
    scene.app.deliver(&[resolved(&firing("a"))]).await.expect(200);
    let starts_at = scene.at(-30).to_rfc3339();
    let mut told = ["b", "c"].map(|name| with(firing(name), "/startsAt", starts_at.clone()));
    told[1] = with(told[1].clone(), "/labels/cause", "b");
    scene.app.deliver(&told).await.expect(200);
    let heard = |result: &str| {
        let (_, text) = observability::metrics::render();
        let name = format!("incidents_alerts_total{{result=\"{result}\"}} ");
        let text = String::from_utf8(text).unwrap();
        text.lines().find_map(|line| line.strip_prefix(&name)?.parse::<u64>().ok()).unwrap()
    };
    let before = heard("forgotten");

    assert_eq!(scene.look(0).await, 0);
    assert_eq!(scene.look(9).await, 0);
    assert_eq!(scene.status().await, "investigating");
    assert_eq!(scene.look(10).await, 2);
    assert_eq!(scene.look(11).await, 0);

    let listed = scene.app.incidents().await[0].clone();
    assert_eq!(listed["status"], "resolved");
    let incident = scene.app.incident(listed["incident_id"].as_str().unwrap()).await;
    // Since when it was unknown, not when patience ended.
    let time = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert!((time(&incident["resolved_at"]) - scene.begun).abs() < TimeDelta::milliseconds(1));
    let timeline = incident["timeline"].as_array().unwrap();
    let of = |kind: &str| timeline.iter().find(|entry| entry["kind"] == kind).unwrap();
    let (forgotten, over) = (of("alert_forgotten"), of("resolved"));
    assert_eq!(
        forgotten["text"],
        "No longer known to Alertmanager and Prometheus: its alerts are taken as over"
    );
    assert_eq!(
        (&forgotten["at"], &over["at"]),
        (&incident["resolved_at"], &incident["resolved_at"])
    );
    assert_eq!(time(&forgotten["recorded_at"]) - time(&forgotten["at"]), TimeDelta::minutes(10));
    assert!(heard("forgotten") >= before + 2);
    // Should Alertmanager tell of the end after all, that is nothing new.
    let late = scene.app.deliver(&told.map(|alert| resolved(&alert))).await.expect(200).json();
    assert_eq!((&late["resolved"], &late["duplicate"]), (&json!(0), &json!(2)));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_alert_that_either_still_knows_is_not_over(db: PgPool) {
    let mut scene = Scene::new(db).await;
    let long_ago = scene.at(-1440);
    scene.say(|said| said.alertmanager = Some((long_ago, vec!["a".to_owned()])));
    assert_eq!((scene.look(0).await, scene.look(60).await), (0, 0));
    // Prometheus calls it `a`, too, with a label less and one that is dropped on the way.
    let labels = json!({
        "alertname": "HighErrorRate", "service": "points", "cause": "a", "replica": "1",
    });
    scene.say(|said| said.alertmanager = Some((long_ago, vec![])));
    scene.say(|said| said.prometheus = Some((long_ago, vec![labels.clone()])));
    assert_eq!((scene.look(61).await, scene.look(120).await), (0, 0));
    // Of another cause: that is not this alert.
    let other = with(labels, "/cause", "b");
    scene.say(|said| said.prometheus = Some((long_ago, vec![other])));
    assert_eq!((scene.look(121).await, scene.look(130).await, scene.look(131).await), (0, 0, 1));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn nothing_is_over_while_somebody_cannot_be_asked(db: PgPool) {
    let mut scene = Scene::new(db).await;
    let both = scene.said.lock().unwrap().clone();
    assert_eq!(scene.look(0).await, 0);
    scene.say(|said| said.prometheus = None);
    assert_eq!((scene.look(9).await, scene.look(60).await), (0, 0));
    scene.say(|said| *said = Said { alertmanager: None, ..both.clone() });
    assert_eq!((scene.look(61).await, scene.look(120).await), (0, 0));
    // Both are back: patience begins anew.
    scene.say(|said| *said = both);
    assert_eq!((scene.look(121).await, scene.look(130).await, scene.look(131).await), (0, 0, 1));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn who_has_just_started_has_not_yet_heard(db: PgPool) {
    let mut scene = Scene::new(db).await;
    assert_eq!(scene.look(0).await, 0);
    let (early, late) = (scene.at(5), scene.at(12));
    scene.say(|said| said.alertmanager = Some((early, vec![])));
    assert_eq!((scene.look(10).await, scene.look(14).await), (0, 0));
    scene.say(|said| said.prometheus = Some((late, vec![])));
    assert_eq!((scene.look(15).await, scene.look(21).await, scene.look(22).await), (0, 0, 1));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_alert_that_comes_back_is_waited_for_anew(db: PgPool) {
    let mut scene = Scene::new(db).await;
    let long_ago = scene.at(-1440);
    assert_eq!(scene.look(0).await, 0);
    scene.say(|said| said.alertmanager = Some((long_ago, vec!["a".to_owned()])));
    assert_eq!(scene.look(9).await, 0);
    scene.say(|said| said.alertmanager = Some((long_ago, vec![])));
    assert_eq!((scene.look(10).await, scene.look(19).await, scene.look(20).await), (0, 0, 1));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn our_own_alert_is_known_to_nobody_else_and_goes_on(db: PgPool) {
    let mut scene = Scene::new(db).await;
    scene.app.incidents.watch_silence(scene.at(-60)).await.unwrap();
    assert_eq!(scene.app.incidents().await[0]["title"], "alertmanager is silent");
    assert_eq!((scene.look(0).await, scene.look(60).await), (0, 1));
    assert_eq!(scene.status().await, "investigating", "the silence");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn where_nobody_is_named_nobody_is_asked(db: PgPool) {
    let app = TestApp::new(db);
    app.deliver(&[firing("a")]).await.expect(200);
    assert_eq!(app.incidents.end_forgotten(&mut Missing::default()).await.unwrap(), 0);
    assert_eq!(app.incidents().await[0]["status"], "investigating");
}
