use kit::{command, postgres};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, Incidents};
use crate::domain::{Alert, IncidentId};
use crate::metrics;
use crate::store::{self, Opening};

/// What Alertmanager sent in one call.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Byte for byte.
    pub payload: Vec<u8>,
    pub alerts: Vec<Alert>,
    /// There were more alerts than it sent.
    pub incomplete: bool,
}

/// What became of a delivery's alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outcome {
    /// New alerts; each opened an incident.
    pub opened: u64,
    /// Alerts that ended now.
    pub resolved: u64,
    /// Alerts that were told before.
    pub duplicate: u64,
    /// Alerts that ended without ever having fired here.
    pub unknown: u64,
}

impl Incidents {
    /// Keeps the delivery and what it means, all or nothing. Once this succeeds Alertmanager may
    /// forget it. There is no idempotency key: fingerprint and start of each alert are one.
    pub async fn receive(&self, delivery: Delivery) -> Result<Outcome, Error> {
        let incidents = self.clone();
        command::run(async move {
            let now = incidents.clock.now();
            // In one order in every delivery, so that two with the same alerts never deadlock.
            let mut alerts = delivery.alerts;
            alerts
                .sort_by(|a, b| (&a.fingerprint, a.starts_at).cmp(&(&b.fingerprint, b.starts_at)));
            let (firing, ended): (Vec<_>, Vec<_>) =
                alerts.into_iter().partition(|alert| alert.ends_at.is_none());
            let openings: Vec<_> = firing
                .into_iter()
                .map(|alert| Opening { incident: IncidentId(incidents.clock.id()), alert })
                .collect();

            let mut tx = postgres::begin(&incidents.db).await?;
            store::keep(&mut tx, incidents.clock.id(), now, &delivery.payload).await?;
            let opened = store::open(&mut tx, &openings, delivery.incomplete, now).await?;
            let (known, resolved) = store::resolve(&mut tx, &ended).await?;
            postgres::commit(tx).await?;

            let outcome = Outcome {
                opened: count(opened.len()),
                resolved,
                duplicate: count(openings.len() - opened.len()) + known - resolved,
                unknown: count(ended.len()) - known,
            };
            metrics::received(&outcome, &opened);
            tracing::info!(
                opened = outcome.opened,
                resolved = outcome.resolved,
                duplicate = outcome.duplicate,
                unknown = outcome.unknown,
                "alerts received"
            );
            Ok(outcome)
        })
        .await
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
