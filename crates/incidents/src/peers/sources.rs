use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::join_all;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::domain::{Alert, Evidence, Known, PrometheusAlert};

/// The sources of alerts: every Prometheus and every Alertmanager that delivers here. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Sources {
    client: reqwest::Client,
    alertmanagers: Vec<String>,
    prometheuses: Vec<String>,
}

#[derive(Deserialize)]
struct AlertmanagerStatus {
    /// The time of its start, in spite of the name.
    uptime: DateTime<Utc>,
}

#[derive(Deserialize)]
struct Fingerprint {
    fingerprint: String,
}

/// The envelope of Prometheus' answers.
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
    alerts: Vec<AlertMessage>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AlertMessage {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    state: String,
    active_at: DateTime<Utc>,
}

/// The timeout for Prometheus while Alertmanager waits for our answer.
const AT_ONCE: Duration = Duration::from_secs(2);

impl Sources {
    /// Takes base URLs, such as `http://alertmanager:9093`.
    pub fn new(alertmanagers: Vec<String>, prometheuses: Vec<String>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .connect_timeout(Duration::from_secs(2))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, alertmanagers, prometheuses })
    }

    /// Returns the alerts that all of them know together. Fails when one does not answer.
    pub async fn ask(&self) -> Result<Known, reqwest::Error> {
        let mut known = Known {
            since: DateTime::<Utc>::MIN_UTC,
            fingerprints: HashSet::new(),
            evidence: Evidence::default(),
        };
        for base in &self.alertmanagers {
            // The alerts before the start: if it restarts in between, the later start counts.
            let path = "/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true";
            let alerts: Vec<Fingerprint> = self.get(base, path).await?;
            let status: AlertmanagerStatus = self.get(base, "/api/v2/status").await?;
            known.since = known.since.max(status.uptime);
            known.fingerprints.extend(alerts.into_iter().map(|alert| alert.fingerprint));
        }
        for base in &self.prometheuses {
            known.evidence.0.extend(self.prometheus_alerts(base).await?);
            let runtime: Answer<Runtime> = self.get(base, "/api/v1/status/runtimeinfo").await?;
            known.since = known.since.max(runtime.data.started);
        }
        Ok(known)
    }

    /// Returns the alerts of every Prometheus that answers in time; `None` when none does.
    pub async fn firing(&self) -> Option<Evidence> {
        let asked =
            self.prometheuses.iter().map(|base| timeout(AT_ONCE, self.prometheus_alerts(base)));
        let answers = join_all(asked).await.into_iter().filter_map(|answer| match answer {
            Ok(Ok(alerts)) => Some(alerts),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a Prometheus does not answer which alerts fire");
                None
            }
            Err(_) => {
                tracing::warn!("a Prometheus does not answer in time which alerts fire");
                None
            }
        });
        let answers: Vec<_> = answers.collect();
        (!answers.is_empty()).then(|| Evidence(answers.into_iter().flatten().collect()))
    }

    async fn prometheus_alerts(&self, base: &str) -> Result<Vec<PrometheusAlert>, reqwest::Error> {
        let Answer { data: Alerts { alerts } } = self.get(base, "/api/v1/alerts").await?;
        let known = |alert: AlertMessage| PrometheusAlert {
            labels: Alert::texts(alert.labels),
            annotations: Alert::texts(alert.annotations),
            firing: alert.state == "firing",
            active_at: alert.active_at,
        };
        Ok(alerts.into_iter().map(known).collect())
    }

    async fn get<T: DeserializeOwned>(&self, base: &str, path: &str) -> Result<T, reqwest::Error> {
        let url = format!("{}{path}", base.trim_end_matches('/'));
        self.client.get(url).send().await?.error_for_status()?.json().await
    }
}
