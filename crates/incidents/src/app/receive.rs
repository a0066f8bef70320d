use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use tokio::time::Instant;
use uuid::Uuid;

use super::group::NewAlerts;
use super::{Error, Incidents};
use crate::domain::{
    Alert, Entry, EventKind, News, Notice, Prometheus, Severity, VerifiedDelivery,
};
use crate::metrics;
use crate::store::incidents::Resolved;
use crate::store::{alerts, incidents};
use crate::view::Received;

/// The time for which a delivery waits for rows that another one has locked; Alertmanager waits longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A delivery of alerts.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub origin: Origin,
    /// The original bytes.
    pub payload: Vec<u8>,
    pub alerts: Vec<Alert>,
    /// True when there were more alerts than were delivered.
    pub incomplete: bool,
}

/// The origin of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Untrusted: anybody who reaches Alertmanager can make it send alerts.
    Alertmanager,
    /// This service itself.
    Ours,
}

impl Incidents {
    /// Stores a delivery and its effect, all or nothing. After a success Alertmanager may forget it. There is no
    /// idempotency key: the fingerprint and the start of each alert are one.
    pub async fn receive(&self, delivery: Delivery) -> Result<Received, Error> {
        // Asked before a connection is taken: Prometheus may be slow.
        let prometheus = self.ask_prometheus(delivery.origin).await;
        let now = self.clock.now();
        let (heartbeats, alerts): (Vec<_>, Vec<_>) =
            delivery.alerts.into_iter().partition(Alert::is_heartbeat);
        let only_heartbeats = alerts.is_empty() && !heartbeats.is_empty();
        for alert in heartbeats {
            self.heartbeat(alert, &prometheus, now).await?;
        }
        // Frequent and without any other effect.
        if only_heartbeats {
            return Ok(Received::default());
        }
        let verified = prometheus.verify_all(alerts, || self.clock.id());
        let received =
            self.store_in_turn(&delivery.payload, delivery.incomplete, &verified).await?;
        tracing::info!(
            opened = received.opened,
            joined = received.joined,
            resolved = received.resolved,
            duplicate = received.duplicate,
            unknown = received.unknown,
            contradicted = received.contradicted,
            unverified = received.unverified,
            "alerts received"
        );
        Ok(received)
    }

    /// Stores one delivery after the other: in the database they would wait for each other with a connection each,
    /// and one that waits there for too long fails. Retries while another replica has locked rows.
    async fn store_in_turn(
        &self,
        payload: &[u8],
        incomplete: bool,
        delivery: &VerifiedDelivery,
    ) -> Result<Received, Error> {
        let _turn = self.receiving.lock().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.store(payload, incomplete, delivery).await {
                // The transaction had no effect.
                Err(Error::Database(error))
                    if postgres::code(&error) == "database_busy" && Instant::now() < deadline => {}
                stored => return stored,
            }
        }
    }

    async fn store(
        &self,
        payload: &[u8],
        incomplete: bool,
        delivery: &VerifiedDelivery,
    ) -> Result<Received, Error> {
        let VerifiedDelivery { openings, ends, contradicted } = delivery;
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        alerts::keep(&mut tx, self.clock.id(), now, payload).await?;
        let new: HashSet<_> = alerts::insert(&mut tx, openings).await?.into_iter().collect();
        let fresh: Vec<_> = openings.iter().filter(|o| new.contains(&o.incident)).collect();
        let unverified = count(fresh.iter().filter(|o| !o.trust.is_believed()).count());
        let grouping = self.group(&mut tx, NewAlerts { openings: fresh, incomplete }, now).await?;
        let rollbacks = self.begin_requested_rollbacks(&mut tx, &grouping.opened, now).await?;
        let ended = alerts::end(&mut tx, ends).await?;
        self.resolve_ended(&mut tx, &ended.incidents(), now).await?;
        postgres::commit(tx).await?;
        self.run_in_background(rollbacks);
        let received = Received {
            opened: count(grouping.opened.len()),
            joined: count(new.len() - grouping.opened.len()),
            resolved: ended.now,
            duplicate: count(openings.len() - new.len()) + ended.known - ended.now,
            unknown: count(ends.len()) - ended.known,
            contradicted: *contradicted,
            unverified,
        };
        metrics::opened(grouping.severities());
        metrics::received(&received);
        Ok(received)
    }

    async fn ask_prometheus(&self, origin: Origin) -> Prometheus {
        match (&self.policy.sources, origin) {
            (None, _) | (_, Origin::Ours) => Prometheus::NotAsked,
            (Some(sources), Origin::Alertmanager) => {
                sources.firing().await.map_or(Prometheus::Unreachable, Prometheus::Answered)
            }
        }
    }

    /// Resolves those of the incidents whose alerts have all ended.
    pub(super) async fn resolve_ended(
        &self,
        tx: &mut PgConnection,
        ids: &[Uuid],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let resolved = incidents::resolve_ended(tx, ids).await?;
        let text = "Every alert has ended: resolved";
        let entry = |i: &Resolved| Entry::by_system(i.id, i.resolved_at, EventKind::Resolved, text);
        let entries: Vec<_> = resolved.iter().map(entry).collect();
        self.record(tx, &entries, now).await?;
        let notices: Vec<_> = resolved.iter().map(notice).collect();
        self.announce_all(tx, &notices, now).await
    }
}

fn notice(incident: &Resolved) -> (Severity, Notice) {
    let minutes = (incident.resolved_at - incident.opened_at).num_minutes().max(0);
    let notice = Notice {
        news: News::Resolved,
        incident: incident.id,
        number: incident.number.clone(),
        severity: incident.severity,
        title: incident.title.clone(),
        service: incident.service.clone(),
        text: format!("Every alert has ended, after {minutes} minutes."),
    };
    (incident.severity.notified_as(incident.verified), notice)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
