//! Alerts that Prometheus knows after all: it did not answer when they were told, or was not there yet.

use std::collections::{BTreeMap, HashSet};

use kit::{command, postgres};

use super::{Error, Incidents};
use crate::domain::{Alert, IncidentId, Trust, Word};
use crate::metrics;
use crate::store::alerts::{self, Opening};
use crate::store::{incidents, story};

impl Incidents {
    /// Asks Prometheus again about what fires by Alertmanager's word alone. What it knows by now is a trusted
    /// incident's from here on, and people hear of it. Returns how many alerts that were.
    pub async fn verify(&self) -> Result<usize, Error> {
        let Some(sources) = &self.policy.sources else { return Ok(0) };
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let burning = alerts::burning(&mut conn).await?;
        drop(conn);
        let doubtful: Vec<_> = burning.into_iter().filter(|alert| !alert.verified).collect();
        if doubtful.is_empty() {
            return Ok(0);
        }
        let Some(facts) = sources.firing().await else { return Ok(0) };
        let word = Word::Checked(facts);
        let judged = doubtful.into_iter().map(|burning| {
            let (fingerprint, starts_at) = burning.key;
            let (labels, annotations) = (burning.labels, BTreeMap::new());
            word.judge(Alert { fingerprint, starts_at, ends_at: None, labels, annotations })
        });
        let openings: Vec<_> = judged
            .filter(|(_, trust)| *trust == Trust::Verified)
            .map(|(alert, trust)| Opening { incident: IncidentId(self.clock.id()), alert, trust })
            .collect();
        if openings.is_empty() { Ok(0) } else { self.believe(openings).await }
    }

    async fn believe(&self, openings: Vec<Opening>) -> Result<usize, Error> {
        let incidents = self.clone();
        command::run(async move {
            let now = incidents.clock.now();
            let mut tx = postgres::begin(&incidents.db).await?;
            let claimed = alerts::claim(&mut tx, &openings).await?;
            let proposed: HashSet<_> = claimed.iter().map(|(_, proposed)| *proposed).collect();
            let fresh = openings.iter().filter(|opening| proposed.contains(&opening.incident.0));
            let grouped = incidents.group(&mut tx, fresh.collect(), false, now).await?;
            let went = |to| grouped.moves.get(&to).copied().unwrap_or(to);
            let moved: BTreeMap<_, _> =
                claimed.iter().map(|(was, proposed)| (*was, went(*proposed))).collect();
            let moved: Vec<_> = moved.into_iter().collect();
            let over = incidents::replace_empty(&mut tx, &moved, now).await?;
            let text = "Prometheus knows the alert: it goes on as another incident";
            let story: Vec<_> = over
                .iter()
                .map(|id| incidents.happened(*id, now, "merged", text.to_owned()))
                .collect();
            story::tell(&mut tx, &story, now).await?;
            postgres::commit(tx).await?;
            for run in grouped.runs {
                command::detach(incidents.clone().drive(run));
            }
            metrics::believed(&grouped.opened);
            tracing::info!(alerts = claimed.len(), "alerts that Prometheus knows after all");
            Ok(claimed.len())
        })
        .await
    }
}
