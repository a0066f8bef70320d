use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kit::{command, postgres};

use super::{Error, Incidents};
use crate::domain::{AlertKey, Missing};
use crate::metrics;
use crate::store::{alerts, story};

const WORDS: &str = "No longer known to Alertmanager and Prometheus: its alerts are taken as over";

impl Incidents {
    /// Ends the alerts that no source has known for the policy's patience: an Alertmanager that is killed
    /// forgets whom it has told, and tells nobody of their end. `missing` is what earlier looks found.
    /// Returns how many have ended.
    pub async fn end_forgotten(&self, missing: &mut Missing) -> Result<u64, Error> {
        let Some(sources) = &self.policy.sources else { return Ok(0) };
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        // Before they are asked: what is told in between is nobody's ignorance.
        let burning = alerts::burning(&mut conn).await?;
        drop(conn);
        let known = match sources.ask().await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "a source of alerts cannot be asked what it knows");
                missing.forget();
                return Ok(0);
            }
        };
        let over = missing.look(&burning, &known, self.clock.now(), self.policy.patience);
        if over.is_empty() { Ok(0) } else { self.presume_over(over).await }
    }

    async fn presume_over(&self, over: Vec<(AlertKey, DateTime<Utc>)>) -> Result<u64, Error> {
        let incidents = self.clone();
        command::run(async move {
            let now = incidents.clock.now();
            let mut tx = postgres::begin(&incidents.db).await?;
            let gone = alerts::end(&mut tx, &over).await?;
            let mut last_of = BTreeMap::new();
            for (incident, end) in &gone.ends {
                let last = last_of.entry(*incident).or_insert(*end);
                *last = (*last).max(*end);
            }
            let story: Vec<_> = last_of
                .into_iter()
                .map(|(id, at)| incidents.happened(id, at, "alert_forgotten", WORDS.to_owned()))
                .collect();
            story::tell(&mut tx, &story, now).await?;
            incidents.settle(&mut tx, &gone.incidents(), now).await?;
            postgres::commit(tx).await?;
            metrics::forgotten(gone.now);
            tracing::warn!(
                alerts = gone.now,
                "alerts that nobody knows any more are taken as over"
            );
            Ok(gone.now)
        })
        .await
    }
}
