//! What one sees of it: Prometheus' alerts, the incidents, and the members who go on asking.

use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::Client;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::Fault;
use crate::demo::people;
use crate::ports::Ports;
use crate::settings::Settings;

pub(super) struct Watch {
    client: Client,
    ports: Ports,
    /// An operator's token, and a member's.
    operator: String,
    member: String,
    /// When the drill began.
    began: DateTime<Utc>,
}

impl Watch {
    pub(super) async fn new(settings: &Settings) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(Duration::from_secs(5)).build()?;
        let ports = settings.ports.clone();
        let password = people::password(&settings.place)?;
        let login = |email: &'static str| login(&client, &ports, email, &password);
        let operator = login("operator@example.com").await?;
        let member = login("member@example.com").await?;
        Ok(Self { client, ports, operator, member, began: now() })
    }

    /// Name and service of an alert that fires.
    pub(super) async fn firing(&self, names: &[&str]) -> anyhow::Result<Option<(String, String)>> {
        let url = format!("http://127.0.0.1:{}/api/v1/alerts", self.ports.prometheus);
        let reply: Value = self.client.get(url).send().await?.json().await?;
        let of = |alert: &Value, label: &str| {
            alert["labels"][label].as_str().unwrap_or_default().to_owned()
        };
        let mut alerts: Vec<Value> =
            reply["data"]["alerts"].as_array().cloned().unwrap_or_default();
        if names.contains(&"ChaosStorm") {
            let url = format!("http://127.0.0.1:{}/api/v2/alerts", self.ports.alertmanager);
            let there: Value = self.client.get(url).send().await?.json().await?;
            alerts = there.as_array().cloned().unwrap_or_default();
            alerts.iter_mut().for_each(|alert| alert["state"] = json!("firing"));
        }
        let mut firing = alerts.iter().filter(|alert| alert["state"] == "firing");
        let found = firing.find(|alert| names.contains(&of(alert, "alertname").as_str()));
        Ok(found.map(|alert| (of(alert, "alertname"), of(alert, "service"))))
    }

    /// The ids of the incidents that burn.
    pub(super) async fn open(&self) -> anyhow::Result<Vec<Value>> {
        let found = self.incidents("/v1/incidents?limit=100").await?;
        let items = found["items"].as_array().cloned().unwrap_or_default();
        Ok(items.into_iter().map(|incident| incident["incident_id"].clone()).collect())
    }

    /// Incidents that were not there before, made of alerts with these names.
    pub(super) async fn new_incidents(
        &self,
        known: &[Value],
        names: &[&str],
    ) -> anyhow::Result<Vec<Value>> {
        let mut new = Vec::new();
        for id in self.open().await?.into_iter().filter(|id| !known.contains(id)) {
            let path = format!("/v1/incidents/{}", id.as_str().unwrap_or_default());
            let incident = self.incidents(&path).await?;
            let name = incident["alerts"][0]["labels"]["alertname"].as_str().unwrap_or_default();
            if names.contains(&name) {
                new.push(incident);
            }
        }
        new.reverse();
        Ok(new)
    }

    pub(super) async fn still_open(&self, incidents: &[Value]) -> anyhow::Result<usize> {
        Ok(incidents.iter().filter(|incident| incident["resolved_at"].is_null()).count())
    }

    async fn incidents(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.ports.service("incidents").http);
        let reply = self.client.get(url).bearer_auth(&self.operator).send().await?;
        let status = reply.status();
        let body: Value = reply.json().await?;
        ensure!(status == 200, "incidents answered {status}: {}", body["detail"]);
        Ok(body)
    }

    /// A member who asks ten times a second, whatever the answer, until this is dropped.
    pub(super) fn traffic(&self, fault: Fault) -> AbortOnDropHandle<()> {
        let (service, path) = fault.asked();
        let url = format!("http://127.0.0.1:{}{path}", self.ports.service(service).http);
        let (client, member) = (self.client.clone(), self.member.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(100));
            loop {
                beat.tick().await;
                let request = client.get(&url).bearer_auth(&member);
                tokio::spawn(async move { request.send().await.map(drop) });
            }
        }))
    }

    /// 300 alerts of three causes, or their end.
    pub(super) async fn storm(&self, fires: bool) -> anyhow::Result<()> {
        let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        // The same start both times: that is how an alert is known.
        let starts_at = time(self.began);
        let ends_at = if fires { now() + TimeDelta::minutes(5) } else { now() };
        let ends_at = time(ends_at);
        let alert = |n: usize| {
            let service = ["auth", "points", "booking"][n % 3];
            json!({
                "labels": { "alertname": "ChaosStorm", "service": service, "severity": "warning", "instance": format!("{n}") },
                "annotations": { "summary": format!("A drill: a storm over {service}"), "description": "300 alerts of three causes." },
                "startsAt": starts_at,
                "endsAt": ends_at,
            })
        };
        let url = format!("http://127.0.0.1:{}/api/v2/alerts", self.ports.alertmanager);
        let alerts: Vec<_> = (0..300).map(alert).collect();
        let reply = self.client.post(url).json(&alerts).send().await?;
        ensure!(reply.status() == 200, "Alertmanager answered {}", reply.status());
        Ok(())
    }

    /// Where an operator sees it.
    pub(super) fn page(&self, incident: &Value) -> String {
        let id = incident["incident_id"].as_str().unwrap_or_default();
        format!("http://127.0.0.1:{}/console/incidents/{id}", self.ports.service("incidents").http)
    }
}

fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

async fn login(
    client: &Client,
    ports: &Ports,
    email: &str,
    password: &str,
) -> anyhow::Result<String> {
    let url = format!("http://127.0.0.1:{}/v1/login", ports.service("auth").http);
    let body = json!({ "email": email, "password": password });
    let reply = client.post(url).json(&body).send().await?;
    ensure!(reply.status() == 200, "{email} cannot log in: {}", reply.status());
    let reply: Value = reply.json().await?;
    Ok(reply["access_token"].as_str().context("no token")?.to_owned())
}
