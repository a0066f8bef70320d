//! Alertmanager accepts alerts from anybody. An alert that Prometheus does not have wakes nobody and is not public.

use chrono::TimeDelta;
use incidents::app::{Incidents, Policy};
use incidents::domain::{Channel, Routes};
use kit::Clock;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::postgres::app_pool;

use crate::app::{TestApp, firing, labelled, resolved, with};
use crate::sources::Stub;

struct Scene {
    app: TestApp,
    stub: Stub,
}

/// P0 wakes somebody, P3 opens a ticket.
fn routes() -> Routes {
    let (sms, log, ticket) = (vec![Channel::Sms], vec![Channel::Log], vec![Channel::Ticket]);
    Routes::try_new([sms, log.clone(), log, ticket], &Channel::ALL).unwrap()
}

impl Scene {
    async fn new(db: PgPool) -> Self {
        let stub = Stub::open(Clock::system().now()).await;
        let app = TestApp::policed(db, Self::policy(&stub));
        Self { app, stub }
    }

    fn policy(stub: &Stub) -> Policy {
        let sources = Some(stub.sources.clone());
        Policy { routes: routes(), sources, ..Policy::default() }
    }

    /// Returns the number of messages to a channel.
    async fn told(&self, channel: &str) -> i64 {
        self.app.count(&format!("outbox_event WHERE aggregate = 'channel {channel}'")).await
    }

    async fn newest(&self) -> Value {
        self.app.incidents().await[0].clone()
    }

    async fn overall(&self) -> Value {
        self.app.api.get("/v1/status").send().await.expect(200).json()["overall"].clone()
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_prometheus_does_not_know_wakes_nobody_and_is_on_no_public_page(db: PgPool) {
    let scene = Scene::new(db.clone()).await;
    let forged = with(firing("a"), "/annotations/summary", "any text on the public page");
    let received = scene.app.deliver(&[forged]).await.expect(200).json();
    assert_eq!((&received["opened"], &received["unverified"]), (&json!(1), &json!(1)));
    let incident = scene.newest().await;
    assert_eq!((&incident["severity"], &incident["verified"]), (&json!("P0"), &json!(false)));

    assert_eq!(scene.overall().await, "OPERATIONAL");
    let public = scene.app.api.get("/").send().await.expect(200).text();
    assert!(!public.contains("any text") && !public.contains("INC-"), "{public}");
    assert_eq!((scene.told("sms").await, scene.told("ticket").await), (0, 1));
    // It is not escalated, either.
    let clock = Clock::fixed(Clock::system().now() + TimeDelta::days(2));
    let policy = Scene::policy(&scene.stub);
    let later = Incidents::new(app_pool(&db, "incidents_app"), clock.clone(), policy);
    assert_eq!(later.mark_breaches().await.unwrap() + later.remind().await.unwrap(), 0);
    let (from, until) = (clock.now() - TimeDelta::days(30), clock.now());
    assert_eq!(later.statistics(from, until).await.unwrap().incidents, 0);
    scene.app.deliver(&[resolved(&firing("a"))]).await.expect(200);
    assert_eq!((scene.told("sms").await, scene.told("ticket").await), (0, 2));
    // Operators find it.
    let found = scene.app.list("verified=false").await.expect(200).json();
    assert_eq!(found["items"].as_array().unwrap().len(), 1);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_prometheus_knows_is_told_in_prometheus_own_words(db: PgPool) {
    let scene = Scene::new(db).await;
    let ours = with(firing("a"), "/labels/severity", "warning");
    scene.stub.fires(&[&ours]);
    // The same alert, changed on the way: another text, and an added label.
    let mut told = with(ours, "/annotations/summary", "SEND MONEY");
    told["labels"]["security"] = json!("true");
    told["annotations"]["error_rate"] = json!("1");
    let received = scene.app.deliver(&[told]).await.expect(200).json();
    assert_eq!((&received["opened"], &received["unverified"]), (&json!(1), &json!(0)));
    let incident = scene.newest().await;
    for (field, value) in
        [("title", json!("a fails")), ("severity", json!("P2")), ("verified", json!(true))]
    {
        assert_eq!(incident[field], value, "{field}");
    }
    let detail = scene.app.incident(incident["incident_id"].as_str().unwrap()).await;
    assert!(!detail.to_string().contains("SEND MONEY") && !detail.to_string().contains("security"));
    assert_eq!(scene.overall().await, "DEGRADED");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_made_up_alert_joins_no_incident_that_people_trust(db: PgPool) {
    let scene = Scene::new(db).await;
    let labels = |more: Value| {
        let mut labels = json!({ "alertname": "Slow", "service": "points", "severity": "warning" });
        labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        labels
    };
    let ours = labelled("ours", labels(json!({})));
    scene.stub.fires(&[&ours]);
    let id = scene.app.open(&ours).await;
    scene.stub.fires(&[]);
    let forged = labelled("forged", labels(json!({ "severity": "critical" })));
    scene.app.deliver(std::slice::from_ref(&forged)).await.expect(200);
    assert_eq!(scene.app.incident(&id).await["severity"], "P2");
    assert_eq!(scene.app.incidents().await.len(), 2);
    // It does not keep the incident open, either.
    scene.app.deliver(&[resolved(&ours)]).await.expect(200);
    assert_eq!(scene.app.incident(&id).await["status"], "resolved");
    // Unverified alerts are grouped, too.
    scene.app.deliver(&[with(forged, "/fingerprint", "more")]).await.expect(200);
    assert_eq!(scene.app.incidents().await.len(), 2);
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_prometheus_knows_later_is_believed_from_then_on(db: PgPool) {
    let scene = Scene::new(db).await;
    let known = scene.stub.said().prometheus;
    scene.stub.say(|said| said.prometheus = None);
    scene.app.deliver(&[firing("a"), firing("b")]).await.expect(200);
    let doubtful = scene.app.incidents().await;
    assert!(doubtful.iter().all(|incident| incident["verified"] == false));
    assert_eq!(scene.app.incidents.verify().await.unwrap(), 0);
    assert_eq!(scene.told("sms").await, 0);

    scene.stub.say(|said| said.prometheus = known);
    let ours = with(firing("a"), "/annotations/summary", "in our words");
    scene.stub.fires(&[&ours]);
    assert_eq!(scene.app.incidents.verify().await.unwrap(), 1);
    assert_eq!(scene.app.incidents.verify().await.unwrap(), 0);
    let believed = scene.newest().await;
    assert_eq!(
        (&believed["title"], &believed["verified"], &believed["severity"]),
        (&json!("in our words"), &json!(true), &json!("P0"))
    );
    assert_eq!((scene.told("sms").await, scene.overall().await), (1, json!("CRITICAL")));
    // The previous incident is merged; the other one waits.
    let open = scene.app.list("status=open").await.expect(200).json();
    let titles: Vec<_> = open["items"].as_array().unwrap().iter().map(|i| &i["title"]).collect();
    assert_eq!(titles, ["in our words", "b fails"]);
    let replaced = scene.app.list("status=resolved").await.expect(200).json();
    assert_eq!(replaced["items"][0]["merged_into"], believed["incident_id"]);
    // The end of the alert resolves it.
    scene.stub.fires(&[]);
    scene.app.deliver(&[resolved(&firing("a"))]).await.expect(200);
    assert_eq!(scene.overall().await, "OPERATIONAL");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_end_that_prometheus_contradicts_is_no_end(db: PgPool) {
    let scene = Scene::new(db).await;
    scene.stub.fires(&[&firing("a")]);
    let id = scene.app.open(&firing("a")).await;
    let received = scene.app.deliver(&[resolved(&firing("a"))]).await.expect(200).json();
    assert_eq!((&received["contradicted"], &received["resolved"]), (&json!(1), &json!(0)));
    assert_eq!(scene.app.incident(&id).await["status"], "investigating");
    scene.stub.fires(&[]);
    scene.app.deliver(&[resolved(&firing("a"))]).await.expect(200);
    assert_eq!(scene.app.incident(&id).await["status"], "resolved");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_operator_vouches_for_it_by_giving_it_a_severity(db: PgPool) {
    let scene = Scene::new(db).await;
    let id = scene.app.open(&firing("a")).await;
    let page = format!("/console/incidents/{id}");
    let operator =
        scene.app.issuer.with_roles(Clock::system().id(), &[kit::caller::Role::Operator]);
    let shown = async || {
        let call = scene.app.api.get(&page).header("cookie", &format!("__Host-console={operator}"));
        call.send().await.expect(200).text()
    };
    assert!(shown().await.contains("Prometheus does not have its alerts"));
    let body = json!({ "severity": "P0", "reason": "I saw it fail" });
    scene.app.act(&id, "severity", body).await.expect(200);
    assert_eq!(scene.app.incident(&id).await["verified"], true);
    assert!(!shown().await.contains("Prometheus does not have its alerts"));
    assert_eq!((scene.told("sms").await, scene.overall().await), (1, json!("CRITICAL")));
    let public = scene.app.api.get("/").send().await.expect(200).text();
    assert!(public.contains("points does not work") && !public.contains("a fails"));
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_made_up_heartbeat_hides_no_dead_prometheus(db: PgPool) {
    let scene = Scene::new(db).await;
    let labels = json!({ "alertname": "Watchdog", "severity": "none", "service": "prometheus" });
    let beat = labelled("w", labels);
    scene.app.deliver(std::slice::from_ref(&beat)).await.expect(200);
    assert_eq!(scene.app.count("heartbeat WHERE source = 'alertmanager'").await, 1);
    assert_eq!(scene.app.count("heartbeat WHERE source = 'prometheus'").await, 0);
    assert_eq!(scene.app.count("watched_day").await, 0);
    scene.stub.fires(&[&beat]);
    scene.app.deliver(&[beat]).await.expect(200);
    assert_eq!(scene.app.count("heartbeat WHERE source = 'prometheus'").await, 1);
    assert_eq!(scene.app.count("watched_day").await, 1);
}
