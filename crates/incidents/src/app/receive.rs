use std::collections::HashSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::{command, postgres};
use serde::Serialize;
use sqlx::PgConnection;
use tokio::time::Instant;
use utoipa::ToSchema;
use uuid::Uuid;

use super::group::Grouped;
use super::{Error, Incidents};
use crate::domain::{Alert, AlertKey, IncidentId, News, Notice, Severity, Word};
use crate::metrics;
use crate::store::alerts::{self, Opening};
use crate::store::incidents::{self, Quiet};
use crate::store::story::{self, Happened};

/// How long a delivery waits for what another one holds; Alertmanager waits longer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What Alertmanager sent in one call.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub origin: Origin,
    /// Byte for byte.
    pub payload: Vec<u8>,
    pub alerts: Vec<Alert>,
    /// There were more alerts than it sent.
    pub incomplete: bool,
}

/// Whose alerts they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Whoever reaches Alertmanager can have it send anything.
    Alertmanager,
    Ours,
}

/// What became of a delivery's alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Received {
    /// New alerts that opened an incident.
    pub opened: u64,
    /// New alerts whose cause had an incident already.
    pub joined: u64,
    /// Alerts that ended now.
    pub resolved: u64,
    /// Alerts that were told before.
    pub duplicate: u64,
    /// Alerts that ended without ever having fired here.
    pub unknown: u64,
    /// Alerts that we were told had ended, and that Prometheus has firing: they go on.
    pub contradicted: u64,
    /// Those of the new alerts that Prometheus does not know.
    pub unverified: u64,
}

impl Incidents {
    /// Keeps the delivery and what it means, all or nothing. Once this succeeds Alertmanager may
    /// forget it. There is no idempotency key: fingerprint and start of each alert are one.
    pub async fn receive(&self, delivery: Delivery) -> Result<Received, Error> {
        let incidents = self.clone();
        command::run(async move {
            // Before a connection is taken: Prometheus may be slow.
            let word = incidents.word(delivery.origin).await;
            let now = incidents.clock.now();
            // In one order in every delivery, so that two with the same alerts never deadlock.
            let (beats, alerts): (Vec<_>, Vec<_>) =
                delivery.alerts.into_iter().partition(Alert::is_heartbeat);
            let beating = !beats.is_empty();
            for beat in beats {
                incidents.heartbeat(beat, &word, now).await?;
            }
            // It comes all the time, and there is nothing else to it.
            if alerts.is_empty() && beating {
                return Ok(Received::default());
            }
            let told = Told::sorted(alerts, &word, || IncidentId(incidents.clock.id()));
            let received = incidents.take_in_turn(&delivery.payload, delivery.incomplete, &told);
            let received = received.await?;
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
        })
        .await
    }

    /// One after the other: they would wait for each other in the database, each with a connection, and one that
    /// waits there for too long is refused. What another replica holds is waited for as well.
    async fn take_in_turn(
        &self,
        payload: &[u8],
        incomplete: bool,
        told: &Told,
    ) -> Result<Received, Error> {
        let _turn = self.receiving.lock().await;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.take(payload, incomplete, told).await {
                // Nothing was done.
                Err(Error::Database(error))
                    if postgres::code(&error) == "database_busy" && Instant::now() < deadline => {}
                taken => return taken,
            }
        }
    }

    async fn take(&self, payload: &[u8], incomplete: bool, told: &Told) -> Result<Received, Error> {
        let Told { openings, ends, contradicted } = told;
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        alerts::keep(&mut tx, self.clock.id(), now, payload).await?;
        let new: HashSet<_> = alerts::insert(&mut tx, openings).await?.into_iter().collect();
        let fresh: Vec<_> = openings.iter().filter(|o| new.contains(&o.incident.0)).collect();
        let unverified = count(fresh.iter().filter(|o| !o.trust.is_believed()).count());
        let Grouped { opened, runs, .. } = self.group(&mut tx, fresh, incomplete, now).await?;
        let gone = alerts::end(&mut tx, ends).await?;
        self.settle(&mut tx, &gone.incidents(), now).await?;
        postgres::commit(tx).await?;
        for run in runs {
            command::detach(self.clone().drive(run));
        }
        let received = Received {
            opened: count(opened.len()),
            joined: count(new.len() - opened.len()),
            resolved: gone.now,
            duplicate: count(openings.len() - new.len()) + gone.known - gone.now,
            unknown: count(ends.len()) - gone.known,
            contradicted: *contradicted,
            unverified,
        };
        metrics::received(&received, &opened);
        Ok(received)
    }

    /// What the delivery's alerts are to be held against.
    async fn word(&self, origin: Origin) -> Word {
        match (&self.policy.sources, origin) {
            (None, _) | (_, Origin::Ours) => Word::Taken,
            (Some(sources), Origin::Alertmanager) => {
                sources.firing().await.map_or(Word::Unchecked, Word::Checked)
            }
        }
    }

    /// Resolves incidents in which nothing fires any more.
    pub(super) async fn settle(
        &self,
        tx: &mut PgConnection,
        ids: &[Uuid],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let quiet = incidents::resolve_quiet(tx, ids).await?;
        let text = "Every alert has ended: resolved";
        let story: Vec<_> = quiet
            .iter()
            .map(|over| self.happened(over.id, over.resolved_at, "resolved", text.to_owned()))
            .collect();
        story::tell(tx, &story, now).await?;
        let notices = quiet.iter().map(over_notice).collect();
        self.announce_all(tx, notices, now).await
    }

    /// Something that the system itself did.
    pub(super) fn happened(
        &self,
        incident: Uuid,
        at: DateTime<Utc>,
        kind: &'static str,
        text: String,
    ) -> Happened {
        Happened { id: self.clock.id(), incident, at, kind, actor: None, text }
    }
}

/// A delivery's alerts, judged, in the order of their keys.
struct Told {
    openings: Vec<Opening>,
    ends: Vec<(AlertKey, DateTime<Utc>)>,
    contradicted: u64,
}

impl Told {
    fn sorted(mut alerts: Vec<Alert>, word: &Word, mut id: impl FnMut() -> IncidentId) -> Self {
        alerts.sort_by(|a, b| (&a.fingerprint, a.starts_at).cmp(&(&b.fingerprint, b.starts_at)));
        let mut told = Self { openings: Vec::new(), ends: Vec::new(), contradicted: 0 };
        for alert in alerts {
            match alert.ends_at {
                Some(_) if word.contradicts(&alert) => told.contradicted += 1,
                Some(end) => told.ends.push((alert.key(), end)),
                None => {
                    let (alert, trust) = word.judge(alert);
                    told.openings.push(Opening { incident: id(), alert, trust });
                }
            }
        }
        told
    }
}

fn over_notice(over: &Quiet) -> (Severity, Notice) {
    let minutes = (over.resolved_at - over.opened_at).num_minutes().max(0);
    let notice = Notice {
        news: News::Resolved,
        incident: over.id,
        number: over.number.clone(),
        severity: over.severity.clone(),
        title: over.title.clone(),
        service: over.service.clone(),
        text: format!("Every alert has ended, after {minutes} minutes."),
    };
    let severity = over.severity.parse().unwrap_or(Severity::P0); // a CHECK knows them all
    (severity.told(over.verified), notice)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
