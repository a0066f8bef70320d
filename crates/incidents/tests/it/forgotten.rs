//! Alerts whose end is never delivered, because an Alertmanager was killed.

use chrono::{DateTime, TimeDelta, Utc};
use incidents::app::{Incidents, Policy};
use incidents::domain::Missing;
use kit::Clock;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::app_pool;

use crate::app::{TestApp, firing, resolved, with};
use crate::sources::{Said, Stub, prometheus_has};

struct Scene {
    app: TestApp,
    begun: DateTime<Utc>,
    stub: Stub,
    missing: Missing,
}

impl Scene {
    /// One alert was delivered, and its sources no longer know it.
    async fn new(db: PgPool) -> Self {
        let begun = Clock::system().now();
        let stub = Stub::open(begun - TimeDelta::days(1)).await;
        let sources = Some(stub.sources.clone());
        let app = TestApp::policed(db, Policy { sources, ..Policy::default() });
        let scene = Self { app, begun, stub, missing: Missing::default() };
        scene.told(&[firing("a")]).await;
        scene
    }

    /// These alerts fired at Prometheus, and Alertmanager delivered them.
    async fn told(&self, alerts: &[Value]) {
        self.stub.fires(&alerts.iter().collect::<Vec<_>>());
        self.app.deliver(alerts).await.expect(200);
        self.stub.fires(&[]);
    }

    /// Runs the job at that minute of the scene. Returns the number of ended alerts.
    async fn look(&mut self, minute: i64) -> u64 {
        let clock = Clock::fixed(self.at(minute));
        let policy = Policy { sources: Some(self.stub.sources.clone()), ..Policy::default() };
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
    scene.told(&told).await;
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
    // The end is the time since which it was unknown, not the end of the patience.
    let time = |value: &Value| value.as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    assert!((time(&incident["resolved_at"]) - scene.begun).abs() < TimeDelta::milliseconds(1));
    let timeline = incident["timeline"].as_array().unwrap();
    let of = |kind: &str| timeline.iter().find(|entry| entry["kind"] == kind).unwrap();
    let (forgotten, over) = (of("alert_forgotten"), of("resolved"));
    assert_eq!(
        forgotten["text"],
        "No longer known to Alertmanager and Prometheus: its alerts are taken as ended"
    );
    assert_eq!(
        (&forgotten["at"], &over["at"]),
        (&incident["resolved_at"], &incident["resolved_at"])
    );
    assert_eq!(time(&forgotten["recorded_at"]) - time(&forgotten["at"]), TimeDelta::minutes(10));
    assert!(heard("forgotten") >= before + 2);
    // A late delivery of the end changes nothing.
    let late = scene.app.deliver(&told.map(|alert| resolved(&alert))).await.expect(200).json();
    assert_eq!((&late["resolved"], &late["duplicate"]), (&json!(0), &json!(2)));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_alert_that_prometheus_still_knows_is_not_over(db: PgPool) {
    let mut scene = Scene::new(db).await;
    let long_ago = scene.at(-1440);
    // Prometheus has `a` pending again, without an added label and with one that is dropped on the way.
    let labels = json!({
        "alertname": "HighErrorRate", "service": "points", "cause": "a", "replica": "1",
    });
    let pending = |labels: &Value| with(prometheus_has(labels, &json!({})), "/state", "pending");
    scene.stub.say(|said| said.prometheus = Some((long_ago, vec![pending(&labels)])));
    assert_eq!((scene.look(0).await, scene.look(60).await), (0, 0));
    // Another cause is another alert.
    let other = with(labels, "/cause", "b");
    scene.stub.say(|said| said.prometheus = Some((long_ago, vec![pending(&other)])));
    assert_eq!((scene.look(61).await, scene.look(70).await, scene.look(71).await), (0, 0, 1));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn alertmanager_keeps_up_nothing_but_what_is_its_word_alone(db: PgPool) {
    let mut scene = Scene::new(db).await;
    scene.app.deliver(&[firing("unknown")]).await.expect(200);
    let long_ago = scene.at(-1440);
    let knows = |names: &[&str]| Some((long_ago, names.iter().map(|&n| n.to_owned()).collect()));
    scene.stub.say(|said| said.alertmanager = knows(&["a", "unknown"]));
    // Anybody who reaches Alertmanager can make it report that `a` still fires.
    assert_eq!((scene.look(0).await, scene.look(9).await, scene.look(10).await), (0, 0, 1));
    assert_eq!((scene.look(11).await, scene.look(60).await), (0, 0));
    scene.stub.say(|said| said.alertmanager = knows(&[]));
    assert_eq!((scene.look(61).await, scene.look(70).await, scene.look(71).await), (0, 0, 1));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn nothing_is_over_while_somebody_cannot_be_asked(db: PgPool) {
    let mut scene = Scene::new(db).await;
    let both = scene.stub.said();
    assert_eq!(scene.look(0).await, 0);
    scene.stub.say(|said| said.prometheus = None);
    assert_eq!((scene.look(9).await, scene.look(60).await), (0, 0));
    scene.stub.say(|said| *said = Said { alertmanager: None, ..both.clone() });
    assert_eq!((scene.look(61).await, scene.look(120).await), (0, 0));
    // Both answer again: the patience starts over.
    scene.stub.say(|said| *said = both);
    assert_eq!((scene.look(121).await, scene.look(130).await, scene.look(131).await), (0, 0, 1));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn who_has_just_started_has_not_yet_heard(db: PgPool) {
    let mut scene = Scene::new(db).await;
    assert_eq!(scene.look(0).await, 0);
    let (early, late) = (scene.at(5), scene.at(12));
    scene.stub.say(|said| said.alertmanager = Some((early, vec![])));
    assert_eq!((scene.look(10).await, scene.look(14).await), (0, 0));
    scene.stub.say(|said| said.prometheus = Some((late, vec![])));
    assert_eq!((scene.look(15).await, scene.look(21).await, scene.look(22).await), (0, 0, 1));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_alert_that_comes_back_is_waited_for_anew(db: PgPool) {
    let mut scene = Scene::new(db).await;
    assert_eq!(scene.look(0).await, 0);
    scene.stub.fires(&[&firing("a")]);
    assert_eq!(scene.look(9).await, 0);
    scene.stub.fires(&[]);
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
