use std::collections::{BTreeMap, HashSet};

use kit::postgres;

use super::group::NewAlerts;
use super::{Error, Incidents};
use crate::domain::{Alert, Entry, EventKind, Opening, Prometheus, Trust};
use crate::metrics;
use crate::store::{alerts, incidents};

impl Incidents {
    /// Asks Prometheus again about unverified alerts: it may not have answered at their delivery. Those that it has
    /// by now move to a verified incident, and people are notified. Returns their number.
    pub async fn verify(&self) -> Result<usize, Error> {
        let Some(sources) = &self.policy.sources else { return Ok(0) };
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let firing = alerts::firing(&mut conn).await?;
        drop(conn);
        let unverified: Vec<_> = firing.into_iter().filter(|alert| !alert.verified).collect();
        if unverified.is_empty() {
            return Ok(0);
        }
        let Some(evidence) = sources.firing().await else { return Ok(0) };
        let prometheus = Prometheus::Answered(evidence);
        let verified = unverified.into_iter().map(|alert| {
            let (fingerprint, starts_at) = alert.key;
            let (labels, annotations) = (alert.labels, BTreeMap::new());
            prometheus.verify(Alert { fingerprint, starts_at, ends_at: None, labels, annotations })
        });
        let openings: Vec<_> = verified
            .filter(|(_, trust)| *trust == Trust::Verified)
            .map(|(alert, trust)| Opening { incident: self.clock.id(), alert, trust })
            .collect();
        if openings.is_empty() { Ok(0) } else { self.move_to_verified(openings).await }
    }

    async fn move_to_verified(&self, openings: Vec<Opening>) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let claimed = alerts::claim(&mut tx, &openings).await?;
        let proposed: HashSet<_> = claimed.iter().map(|(_, proposed)| *proposed).collect();
        let fresh = openings.iter().filter(|opening| proposed.contains(&opening.incident));
        let new = NewAlerts { openings: fresh.collect(), incomplete: false };
        let grouping = self.group(&mut tx, new, now).await?;
        let rollbacks = self.begin_requested_rollbacks(&mut tx, &grouping.opened, now).await?;
        let joined = |proposed| grouping.moved.get(&proposed).copied().unwrap_or(proposed);
        let moved: BTreeMap<_, _> =
            claimed.iter().map(|(was, proposed)| (*was, joined(*proposed))).collect();
        let merged = incidents::merge_ended(&mut tx, &moved, now).await?;
        let text = "Prometheus has the alert: it goes on as another incident";
        let entry = |id: &_| Entry::by_system(*id, now, EventKind::Merged, text);
        let entries: Vec<_> = merged.iter().map(entry).collect();
        self.record(&mut tx, &entries, now).await?;
        postgres::commit(tx).await?;
        self.run_in_background(rollbacks);
        metrics::opened(grouping.severities());
        tracing::info!(alerts = claimed.len(), "unverified alerts were verified");
        Ok(claimed.len())
    }
}
