//! Observes a drill: Prometheus' alerts, and the incidents.

use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use reqwest::Client;
use serde_json::{Value, json};

use crate::demo::people;
use crate::ports::Ports;
use crate::settings::Settings;

/// More than a drill makes.
const LATEST: &str = "/v1/incidents?limit=100";

pub(super) struct Watch {
    pub(super) client: Client,
    pub(super) ports: Ports,
    /// Access tokens.
    operator: String,
    pub(super) member: String,
    pub(super) merchant: String,
    /// The start of the drill.
    began: DateTime<Utc>,
}

impl Watch {
    pub(super) async fn new(settings: &Settings) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(Duration::from_secs(5)).build()?;
        let ports = settings.ports.clone();
        let password = people::password(&settings.place)?;
        let log_in = |body: Value| login(&client, &ports, body);
        let login = |email: &'static str| log_in(json!({ "email": email, "password": password }));
        // An operator is one at the service that the token is for.
        let operator = "operator@example.com";
        let operator = json!({ "email": operator, "password": password, "audience": "incidents" });
        let operator = log_in(operator).await?;
        let member = login("member@example.com").await?;
        let merchant = login(people::MERCHANT.email).await?;
        Ok(Self { client, ports, operator, member, merchant, began: now() })
    }

    /// Returns true when Prometheus runs with the drill's configuration and has an Alertmanager. For seconds after it
    /// has read a configuration it knows none, and sends no alert.
    pub(super) async fn hurries(&self) -> anyhow::Result<bool> {
        let config = self.prometheus("status/config").await?;
        let reached = self.prometheus("alertmanagers").await?;
        let config = config["data"]["yaml"].as_str().unwrap_or_default();
        Ok(config.contains("evaluation_interval: 1s")
            && reached["data"]["activeAlertmanagers"].as_array().is_some_and(|all| !all.is_empty()))
    }

    async fn prometheus(&self, what: &str) -> anyhow::Result<Value> {
        let url = format!("http://127.0.0.1:{}/api/v1/{what}", self.ports.prometheus);
        Ok(self.client.get(url).send().await?.json().await?)
    }

    /// Name and service of an alert that fires.
    pub(super) async fn firing(&self, names: &[&str]) -> anyhow::Result<Option<(String, String)>> {
        let reply = self.prometheus("alerts").await?;
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

    /// Finds an alert or an open incident that would be mistaken for the drill's.
    pub(super) async fn burning(&self, names: &[&str]) -> anyhow::Result<Option<String>> {
        if let Some((alert, service)) = self.firing(names).await? {
            return Ok(Some(format!("{alert} fires for {service} already")));
        }
        let open = self.details("/v1/incidents?status=open&limit=100", &[]).await?;
        let mut open = open.iter().filter(|incident| is_of(incident, names));
        Ok(open.next().map(|incident| {
            let number = incident["number"].as_str().unwrap_or_default();
            format!("{number} is open: resolve it first ({})", self.page(incident))
        }))
    }

    /// The ids of all that is known.
    pub(super) async fn known(&self) -> anyhow::Result<Vec<Value>> {
        let found = self.incidents(LATEST).await?;
        Ok(items(&found).map(|incident| incident["incident_id"].clone()).collect())
    }

    /// Incidents that were not there before, the oldest first.
    pub(super) async fn new_incidents(&self, known: &[Value]) -> anyhow::Result<Vec<Value>> {
        let mut new = self.details(LATEST, known).await?;
        new.reverse();
        Ok(new)
    }

    /// The incidents of a list with all that is known of them, but for these.
    async fn details(&self, list: &str, but_for: &[Value]) -> anyhow::Result<Vec<Value>> {
        let found = self.incidents(list).await?;
        let ids = items(&found).map(|incident| &incident["incident_id"]);
        let mut details = Vec::new();
        for id in ids.filter(|id| !but_for.contains(id)) {
            let path = format!("/v1/incidents/{}", id.as_str().unwrap_or_default());
            details.push(self.incidents(&path).await?);
        }
        Ok(details)
    }

    async fn incidents(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("http://127.0.0.1:{}{path}", self.ports.service("incidents").http);
        let reply = self.client.get(url).bearer_auth(&self.operator).send().await?;
        let status = reply.status();
        let body: Value = reply.json().await?;
        ensure!(status == 200, "incidents answered {status}: {}", body["detail"]);
        Ok(body)
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

    /// Returns the URL of an incident in the console.
    pub(super) fn page(&self, incident: &Value) -> String {
        let id = incident["incident_id"].as_str().unwrap_or_default();
        format!("http://127.0.0.1:{}/console/incidents/{id}", self.ports.service("incidents").http)
    }
}

fn items(found: &Value) -> impl Iterator<Item = &Value> {
    found["items"].as_array().into_iter().flatten()
}

/// Returns true when the incident has an alert with one of these names.
pub(super) fn is_of(incident: &Value, names: &[&str]) -> bool {
    let alerts = incident["alerts"].as_array().into_iter().flatten();
    let mut alerts = alerts.filter_map(|alert| alert["labels"]["alertname"].as_str());
    alerts.any(|name| names.contains(&name))
}

pub(super) fn now() -> DateTime<Utc> {
    SystemTime::now().into()
}

async fn login(client: &Client, ports: &Ports, body: Value) -> anyhow::Result<String> {
    let url = format!("http://127.0.0.1:{}/v1/login", ports.service("auth").http);
    let reply = client.post(url).json(&body).send().await?;
    ensure!(reply.status() == 200, "{} cannot log in: {}", body["email"], reply.status());
    let reply: Value = reply.json().await?;
    Ok(reply["access_token"].as_str().context("no token")?.to_owned())
}
