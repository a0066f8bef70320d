use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kit::postgres;

use super::{Error, Incidents};
use crate::domain::{AlertKey, Entry, EventKind, Missing};
use crate::metrics;
use crate::store::alerts;

const TEXT: &str = "No longer known to Alertmanager and Prometheus: its alerts are taken as ended";

impl Incidents {
    /// Ends the alerts that no source has known for the policy's patience: an Alertmanager that is killed forgets
    /// which alerts it has delivered, and never delivers their ends. `missing` has the findings of earlier runs.
    /// Returns the number of ended alerts.
    pub async fn end_forgotten(&self, missing: &mut Missing) -> Result<u64, Error> {
        let Some(sources) = &self.policy.sources else { return Ok(0) };
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        // Read first: an alert that is delivered in between is not unknown.
        let firing = alerts::firing(&mut conn).await?;
        drop(conn);
        let known = match sources.ask().await {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "a source of alerts does not answer which alerts it knows");
                missing.forget();
                return Ok(0);
            }
        };
        let over = missing.look(&firing, &known, self.clock.now(), self.policy.patience);
        if over.is_empty() { Ok(0) } else { self.presume_ended(over).await }
    }

    async fn presume_ended(&self, over: Vec<(AlertKey, DateTime<Utc>)>) -> Result<u64, Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let ended = alerts::end(&mut tx, &over).await?;
        let mut last_of = BTreeMap::new();
        for (incident, end) in &ended.ends {
            let last = last_of.entry(*incident).or_insert(*end);
            *last = (*last).max(*end);
        }
        let entry = |(id, at)| Entry::by_system(id, at, EventKind::AlertForgotten, TEXT);
        let entries: Vec<_> = last_of.into_iter().map(entry).collect();
        self.record(&mut tx, &entries, now).await?;
        self.resolve_ended(&mut tx, &ended.incidents(), now).await?;
        postgres::commit(tx).await?;
        metrics::alerts("forgotten", ended.now);
        tracing::warn!(alerts = ended.now, "unknown alerts are taken as ended");
        Ok(ended.now)
    }
}
