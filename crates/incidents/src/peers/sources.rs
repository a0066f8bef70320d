use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::domain::{Alert, Known};

/// Where alerts come from: every Prometheus and every Alertmanager that leads here. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sources {
    client: reqwest::Client,
    alertmanagers: Vec<String>,
    prometheuses: Vec<String>,
}

#[derive(Deserialize)]
struct AlertmanagerStatus {
    /// When it started, in spite of the name.
    uptime: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Fingerprint {
    fingerprint: String,
}

/// What Prometheus puts around an answer.
#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Runtime {
    #[serde(rename = "startTime")]
    started: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Alerts {
    alerts: Vec<Labeled>,
}

#[derive(Deserialize)]
struct Labeled {
    labels: BTreeMap<String, String>,
}

impl Sources {
    /// Base addresses, such as `http://alertmanager:9093`.
    pub fn new(alertmanagers: Vec<String>, prometheuses: Vec<String>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .connect_timeout(Duration::from_secs(2))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, alertmanagers, prometheuses })
    }

    /// What they know together; an error when one of them does not answer.
    pub async fn ask(&self) -> Result<Known, reqwest::Error> {
        let mut known = Known {
            since: DateTime::<Utc>::MIN_UTC,
            fingerprints: HashSet::new(),
            labels: Vec::new(),
        };
        for base in &self.alertmanagers {
            // What it knows before since when: should it start anew in between, it is the younger one.
            let path = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true";
            let alerts: Vec<Fingerprint> = self.get(base, path).await?;
            let status: AlertmanagerStatus = self.get(base, "/api/v2/status").await?;
            known.since = known.since.max(status.uptime);
            known.fingerprints.extend(alerts.into_iter().map(|alert| alert.fingerprint));
        }
        for base in &self.prometheuses {
            let Answer { data: Alerts { alerts } } = self.get(base, "/api/v1/alerts").await?;
            let runtime: Answer<Runtime> = self.get(base, "/api/v1/status/runtimeinfo").await?;
            known.since = known.since.max(runtime.data.started);
            known.labels.extend(alerts.into_iter().map(|alert| Alert::texts(alert.labels)));
        }
        Ok(known)
    }

    async fn get<T: DeserializeOwned>(&self, base: &str, path: &str) -> Result<T, reqwest::Error> {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        self.client.get(url).send().await?.error_for_status()?.json().await
    }
}
