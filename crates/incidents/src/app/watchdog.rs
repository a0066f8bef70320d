use chrono::{DateTime, Utc};
use kit::postgres;
use serde_json::json;

use super::{Delivery, Error, Incidents, Origin};
use crate::domain::{Alert, SILENCE_FINGERPRINT, Texts, Word};
use crate::store::heartbeats;

/// When a part of the alerting chain was last known to be alive.
pub(crate) struct Heartbeat {
    pub(crate) source: String,
    pub(crate) heard_at: DateTime<Utc>,
}

impl Incidents {
    /// Takes the alert that always fires. Alertmanager is alive because it sent it; Prometheus was when
    /// it evaluated the rule, which the alert says. One that Prometheus does not have says nothing of Prometheus.
    pub(super) async fn heartbeat(
        &self,
        alert: Alert,
        word: &Word,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        heartbeats::heard(&mut conn, "alertmanager", now).await?;
        let (alert, trust) = word.judge(alert);
        if alert.ends_at.is_none() && trust.is_believed() {
            let evaluated = alert.evaluated_at().map_or(now, |at| at.min(now));
            heartbeats::heard(&mut conn, "prometheus", evaluated).await?;
            heartbeats::watched(&mut conn, evaluated).await?;
        }
        Ok(())
    }

    /// Opens an incident when Prometheus or Alertmanager has been silent for too long, and ends it when
    /// both are heard again. `since`: from when on we listen; what came before is not held against them.
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
                self.say(over, now).await
            }
            ([(source, last), ..], []) => {
                // Named by when it fell silent: told twice, it is one.
                self.say(vec![alert(*last, None, source)], now).await
            }
            (_, _) => Ok(()),
        }
    }

    async fn say(&self, alerts: Vec<Alert>, now: DateTime<Utc>) -> Result<(), Error> {
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
    let said =
        "Alerts may no longer arrive: nothing else on this page can be trusted to be complete.";
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
            ("description", said),
            ("runbook_url", "docs/runbooks/watchdog.md"),
        ]),
    }
}
