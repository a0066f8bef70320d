//! Alerts to a Slack that is slow, busy or unavailable.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use observability::Config;
use observability::alert::Alert;
use serde_json::Value;

use crate::support::{Telemetry, eventually, metric, telemetry, telemetry_with};

/// Answers as configured, then 200, and records the messages.
#[derive(Clone, Default)]
struct Slack {
    got: Arc<Mutex<Vec<Value>>>,
    answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    delay: Duration,
}

impl Slack {
    async fn start(self) -> (Self, Telemetry) {
        let app = Router::new().route("/services/SECRET", post(take)).with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let url = format!("http://{address}/services/SECRET");
        let config = Config { slack_webhook_url: Some(url.into()), ..Config::default() };
        (self, telemetry_with(config))
    }

    async fn got(&self, count: usize) -> Vec<Value> {
        eventually(|| Some(self.got.lock().unwrap().clone()).filter(|got| got.len() >= count)).await
    }
}

async fn take(State(slack): State<Slack>, body: String) -> Response {
    tokio::time::sleep(slack.delay).await;
    slack.got.lock().unwrap().push(serde_json::from_str(&body).unwrap());
    let (status, retry) = slack.answers.lock().unwrap().pop_front().unwrap_or((200, ""));
    let status = StatusCode::from_u16(status).unwrap();
    (status, [("retry-after", retry)].map(|(name, value)| (name, value.to_owned()))).into_response()
}

async fn count(level: &str, result: &str, at_least: f64) {
    let series = format!(r#"alerts_total{{level="{level}",result="{result}"}}"#);
    eventually(|| metric(&series).filter(|count| *count >= at_least)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_reaches_slack_with_everything_it_has() {
    let (slack, _telemetry) = Slack::default().start().await;
    Alert::critical("Invariant violated", "account <balance>")
        .path("account/balance")
        .stack("0: points::app\n1: main")
        .with("request_id", "r-1")
        .raise();
    let message = slack.got(1).await.remove(0).to_string();
    let all = ["Invariant violated", "account &lt;balance&gt;", "account/balance", "points::app"];
    for expected in all.into_iter().chain(["points", "critical", "r-1", "🚨", "date^"]) {
        assert!(message.contains(expected), "{expected} is not in {message}");
    }
    count("critical", "sent", 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_slack_is_asked_again_and_one_that_refuses_is_not() {
    let slack = Slack::default();
    slack.answers.lock().unwrap().extend([(503, ""), (429, "0"), (200, ""), (403, "")]);
    let (slack, telemetry) = slack.start().await;
    Alert::error("First", "is delivered at the third try").raise();
    count("error", "sent", 1.0).await;
    Alert::warning("Second", "is refused").raise();
    count("warning", "failed", 1.0).await;
    assert_eq!(slack.got(4).await.len(), 4);
    let line = telemetry.log.line("alert not delivered").await;
    assert_eq!((&line["title"], &line["why"]), (&"Second".into(), &"answered 403".into()));
    assert!(!telemetry.log.text().contains("SECRET"), "the address is a secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn raising_alerts_never_waits_however_slow_slack_is() {
    let (_slack, _telemetry) =
        Slack { delay: Duration::from_secs(60), ..Slack::default() }.start().await;
    let began = Instant::now();
    for n in 0..10_000 {
        Alert::info("Storm", "many").path(n.to_string()).raise();
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    count("info", "dropped", 9_000.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_already_is_not_said_again() {
    let (slack, _telemetry) = Slack::default().start().await;
    for _ in 0..50 {
        Alert::critical("Panic", "again").path("/v1/accounts").raise();
    }
    count("critical", "repeated", 49.0).await;
    assert_eq!(slack.got(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_and_a_broken_invariant_are_alerts() {
    let (slack, _telemetry) = Slack::default().start().await;
    observability::metrics::invariant_violated("account", "held_not_negative");
    let _ = observability::panics::catch("relay", async { panic!("ada@example.com") }).await;
    let text = format!("{:?}", slack.got(2).await);
    for expected in ["account: held_not_negative", "panicked at", "relay", "a_panic_and_a_broken"] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    assert!(!text.contains("ada@example.com"), "what a panic says may be about a person");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_address_or_when_switched_off_nobody_is_told() {
    let slack = Slack::default();
    let _telemetry = telemetry();
    Alert::critical("Nobody", "hears this").raise();
    count("critical", "off", 1.0).await;
    assert!(slack.got.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_the_clear_is_refused_without_being_shown() {
    for url in ["http://hooks.slack.com/services/SECRET", "SECRET", "ftp://a/SECRET"] {
        let config = Config { slack_webhook_url: Some(url.into()), ..Config::default() };
        let error = observability::init("points", "0", &config).err().unwrap();
        let error = format!("{error:#}");
        assert!(error.contains("SLACK_WEBHOOK_URL") && !error.contains("SECRET"), "{error}");
    }
}
