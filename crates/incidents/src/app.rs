//! The use cases, one per file.

mod act;
mod breaches;
mod error;
mod follow_up;
mod forgotten;
mod group;
mod list;
mod notify;
mod overview;
mod postmortem;
mod receive;
mod retention;
mod rollback;
mod show;
mod statistics;
mod verify;
mod watchdog;

pub use act::Action;
pub use error::Error;
pub use follow_up::FollowUp;
pub use postmortem::Draft;
pub use receive::{Delivery, Origin};

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use kit::Clock;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use crate::domain::{Entry, Routes, Targets, Thresholds};
use crate::executor::Executor;
use crate::metrics;
use crate::peers::Sources;
use crate::store::timeline;

/// The incidents. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Incidents {
    db: PgPool,
    clock: Clock,
    policy: Arc<Policy>,
    /// The last event that was seen here.
    changes: watch::Sender<Option<Uuid>>,
    /// Held while a delivery is stored.
    receiving: Arc<Mutex<()>>,
}

/// The settings of the use cases.
#[derive(Clone, Debug)]
pub struct Policy {
    pub thresholds: Thresholds,
    pub targets: Targets,
    /// The services of the status page, in this order.
    pub services: Vec<String>,
    /// The channels of each severity.
    pub routes: Routes,
    /// The time after which people are reminded of an unacknowledged P0.
    pub repeat: TimeDelta,
    /// The longest silence of Prometheus and Alertmanager.
    pub silence: TimeDelta,
    /// The time for which an alert must be unknown to its sources before it counts as ended.
    pub patience: TimeDelta,
    /// The sources of alerts; `None` when alerts are not verified.
    pub sources: Option<Sources>,
    /// The executor of rollbacks; `None` when there are none.
    pub executor: Option<Executor>,
    /// True when an alert that Prometheus has may begin a rollback without an approval.
    pub automatic_rollback: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            targets: Targets::default(),
            services: ["auth", "points", "booking", "incidents"].map(str::to_owned).into(),
            routes: Routes::default(),
            repeat: TimeDelta::minutes(5),
            silence: TimeDelta::seconds(90),
            patience: TimeDelta::minutes(10),
            sources: None,
            executor: None,
            automatic_rollback: false,
        }
    }
}

impl Incidents {
    /// Builds the use cases and declares their metrics.
    pub fn new(db: PgPool, clock: Clock, policy: Policy) -> Self {
        metrics::declare();
        let (changes, receiving) = (watch::Sender::new(None), Arc::default());
        Self { db, clock, policy: Arc::new(policy), changes, receiving }
    }

    /// Returns the clock, for sessions that expire.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Returns the time, for pages that show durations.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Returns an idempotency key for a form.
    pub fn new_key(&self) -> Uuid {
        self.clock.id()
    }

    /// Adds entries to timelines.
    async fn record(
        &self,
        tx: &mut PgConnection,
        entries: &[Entry],
        now: DateTime<Utc>,
    ) -> sqlx::Result<()> {
        let ids: Vec<_> = entries.iter().map(|_| self.clock.id()).collect();
        timeline::add(tx, &ids, entries, now).await
    }
}
