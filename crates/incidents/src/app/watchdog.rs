use chrono::{DateTime, Utc};
use kit::postgres;
use serde_json::json;

use super::{Delivery, Error, Incidents, Origin};
use crate::domain::{Alert, Prometheus, SILENCE_FINGERPRINT, Texts};
use crate::store::heartbeats;

impl Incidents {
    /// Records the alert that always fires. Alertmanager is alive because it sent the alert. Prometheus was alive
    /// when it evaluated the rule, at the time in the alert, unless the alert is unverified.
    pub(super) async fn heartbeat(
        &self,
        alert: Alert,
        prometheus: &Prometheus,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        heartbeats::heard(&mut conn, "alertmanager", now).await?;
        let (alert, trust) = prometheus.verify(alert);
        if alert.ends_at.is_none() && trust.is_believed() {
            let evaluated = alert.evaluated_at().map_or(now, |at| at.min(now));
            heartbeats::heard(&mut conn, "prometheus", evaluated).await?;
            heartbeats::watched(&mut conn, evaluated).await?;
        }
        Ok(())
    }

    /// Opens an incident when Prometheus or Alertmanager has been silent for too long, and ends it when both are
    /// heard again. Silence before `since` does not count.
    pub async fn watch_silence(&self, since: DateTime<Utc>) -> Result<(), Error> {
        let now = self.clock.now();
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let heard = heartbeats::all(&mut conn).await?;
        let firing = heartbeats::firing(&mut conn, SILENCE_FINGERPRINT).await?;
        drop(conn);
        let mut silent = Vec::new();
        for source in ["alertmanager", "prometheus"] {
            let last = heard.iter().find(|beat| beat.source == source).map(|beat| beat.heard_at);
            let last = last.map_or(since, |last| last.max(since));
            if now - last > self.policy.silence {
                silent.push((source, last));
            }
        }
        match (silent.as_slice(), firing.as_slice()) {
            ([], []) => Ok(()),
            ([], over) => {
                let over = over.iter().map(|start| alert(*start, Some(now), "")).collect();
                self.deliver(over, now).await
            }
            ([(source, last), ..], []) => {
                // The start identifies the alert, so that it opens one incident however often it is sent.
                self.deliver(vec![alert(*last, None, source)], now).await
            }
            (_, _) => Ok(()),
        }
    }

    async fn deliver(&self, alerts: Vec<Alert>, now: DateTime<Utc>) -> Result<(), Error> {
        let payload =
            json!({ "source": "watchdog", "at": now, "fires": alerts[0].ends_at.is_none() });
        let payload = payload.to_string().into_bytes();
        let (origin, incomplete) = (Origin::Ours, false);
        self.receive(Delivery { origin, payload, alerts, incomplete }).await?;
        Ok(())
    }
}

fn alert(starts_at: DateTime<Utc>, ends_at: Option<DateTime<Utc>>, source: &str) -> Alert {
    let texts = |pairs: &[(&str, &str)]| -> Texts {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let description = "Alerts may no longer arrive: nothing else on this page can be complete.";
    Alert {
        fingerprint: SILENCE_FINGERPRINT.to_owned(),
        starts_at,
        ends_at,
        labels: texts(&[
            ("alertname", "WatchdogSilent"),
            ("service", source),
            ("severity", "critical"),
            ("root_cause", "dependency"),
            ("cause", "watchdog"),
        ]),
        annotations: texts(&[
            ("summary", &format!("{source} is silent")),
            ("description", description),
            ("runbook_url", "docs/runbooks/watchdog.md"),
        ]),
    }
}
