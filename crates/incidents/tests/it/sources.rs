//! An Alertmanager and a Prometheus in one.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use incidents::peers::Sources;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The start of each, and its alerts. `None`: it does not answer.
#[derive(Clone)]
pub struct Said {
    /// The alerts by fingerprint.
    pub alertmanager: Option<(DateTime<Utc>, Vec<String>)>,
    pub prometheus: Option<(DateTime<Utc>, Vec<Value>)>,
}

pub struct Stub {
    said: Arc<Mutex<Said>>,
    pub sources: Sources,
}

type Saying = State<Arc<Mutex<Said>>>;
type Answer = Result<Json<Value>, StatusCode>;

impl Stub {
    /// Starts both at that time, without alerts.
    pub async fn open(since: DateTime<Utc>) -> Self {
        let (alertmanager, prometheus) = (Some((since, vec![])), Some((since, vec![])));
        let said = Arc::new(Mutex::new(Said { alertmanager, prometheus }));
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
        Self { said, sources: Sources::new(vec![am], vec![prometheus]).unwrap() }
    }

    pub fn say(&self, change: impl FnOnce(&mut Said)) {
        change(&mut self.said.lock().unwrap());
    }

    pub fn said(&self) -> Said {
        self.said.lock().unwrap().clone()
    }

    /// Makes exactly these alerts fire at Prometheus; they are as Alertmanager delivers them.
    pub fn fires(&self, alerts: &[&Value]) {
        let known =
            alerts.iter().map(|alert| prometheus_has(&alert["labels"], &alert["annotations"]));
        let known = known.collect();
        self.say(|said| said.prometheus.as_mut().unwrap().1 = known);
    }
}

/// Returns a firing alert as Prometheus reports it.
pub fn prometheus_has(labels: &Value, annotations: &Value) -> Value {
    json!({
        "labels": labels, "annotations": annotations, "state": "firing", "value": "1e+00",
        "activeAt": "2020-01-01T00:00:00.5+02:00",
    })
}

fn alertmanager(State(said): &Saying) -> Result<(DateTime<Utc>, Vec<String>), StatusCode> {
    said.lock().unwrap().alertmanager.clone().ok_or(StatusCode::BAD_GATEWAY)
}

fn prometheus(State(said): &Saying) -> Result<(DateTime<Utc>, Vec<Value>), StatusCode> {
    said.lock().unwrap().prometheus.clone().ok_or(StatusCode::BAD_GATEWAY)
}

async fn am_alerts(said: Saying) -> Answer {
    let alerts = alertmanager(&said)?.1;
    Ok(Json(alerts.into_iter().map(|f| json!({ "fingerprint": f, "labels": {} })).collect()))
}

async fn am_status(said: Saying) -> Answer {
    Ok(Json(json!({ "uptime": alertmanager(&said)?.0, "versionInfo": {} })))
}

async fn alerts(said: Saying) -> Answer {
    let alerts = prometheus(&said)?.1;
    Ok(Json(json!({ "status": "success", "data": { "alerts": alerts } })))
}

async fn runtime(said: Saying) -> Answer {
    let started = prometheus(&said)?.0;
    Ok(Json(json!({ "status": "success", "data": { "startTime": started } })))
}
