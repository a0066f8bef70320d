//! What a caller may ask: one file per use case.

mod act;
mod breaches;
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

pub use act::{Action, Role};
pub(crate) use follow_up::Due;
pub use follow_up::{ActionItem, FollowUp, NewAction, Priority};
pub use list::{Filter, Incident, Page, Stage};
pub(crate) use notify::Unanswered;
pub use overview::{Overview, PublicIncident, ServiceHealth};
pub use postmortem::{Draft, Postmortem};
pub use receive::{Delivery, Origin, Received};
pub(crate) use rollback::{Lost, Run};
pub use rollback::{RollbackView, StepView};
pub(crate) use show::Tick;
pub use show::{AlertView, CheckView, Event, Holder, IncidentDetail, Linked, SeverityChange, Told};
pub(crate) use watchdog::Heartbeat;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use kit::{Classify, Clock, FieldError, Kind, error, idempotency, page, postgres};
use sqlx::PgPool;
use thiserror::Error;
use tokio::sync::{Mutex, watch};
use uuid::Uuid;

use crate::domain::{Refused, Routes, Targets, Thresholds};
use crate::executor::Executor;
use crate::metrics;
use crate::peers::Sources;

/// The incidents. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Incidents {
    db: PgPool,
    clock: Clock,
    policy: Arc<Policy>,
    /// The last event that was seen here.
    changes: watch::Sender<Option<Uuid>>,
    /// Whose delivery is being taken.
    receiving: Arc<Mutex<()>>,
}

/// What an operator may tune.
#[derive(Clone, Debug)]
pub struct Policy {
    pub thresholds: Thresholds,
    pub targets: Targets,
    /// What the status page shows, in this order.
    pub services: Vec<String>,
    /// Who hears of which severity.
    pub routes: Routes,
    /// After how long a P0 that nobody acknowledges is told again.
    pub repeat: TimeDelta,
    /// How long Prometheus and Alertmanager may be silent.
    pub silence: TimeDelta,
    /// How long an alert must have been unknown to its sources before it counts as over.
    pub patience: TimeDelta,
    /// Whom to ask; None: what we are told is taken for true.
    pub sources: Option<Sources>,
    /// Who takes a service back; None: nobody can.
    pub executor: Option<Executor>,
    /// An alert that Prometheus has firing may ask for it, and nobody is asked.
    pub rolls_back_by_itself: bool,
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
            rolls_back_by_itself: false,
        }
    }
}

/// Why a caller does not get what it asked for.
#[derive(Debug, Error)]
pub enum Error {
    #[error("no such incident")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the checklist of this severity has no such item")]
    UnknownCheck,
    #[error("somebody else has edited the postmortem meanwhile")]
    PostmortemChanged,
    #[error("there is no way to roll back here: ROLLBACK_EXECUTOR is none")]
    NoExecutor,
    #[error("this service is not one that can be rolled back from here")]
    NotToRollBack,
    #[error("a rollback of this service is running")]
    RollbackRuns,
    #[error(transparent)]
    Key(#[from] idempotency::Error),
    #[error(transparent)]
    Page(#[from] page::Error),
    #[error("database failure")]
    Database(#[from] sqlx::Error),
}

impl Incidents {
    /// Declares its metrics, too.
    pub fn new(db: PgPool, clock: Clock, policy: Policy) -> Self {
        metrics::declare();
        let (changes, receiving) = (watch::Sender::new(None), Arc::default());
        Self { db, clock, policy: Arc::new(policy), changes, receiving }
    }

    /// For pages that say how long ago something was.
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A key for a form that may be sent twice.
    pub fn new_key(&self) -> Uuid {
        self.clock.id()
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Refused(_) | Self::UnknownCheck | Self::NoExecutor | Self::NotToRollBack => {
                Kind::Refused
            }
            Self::PostmortemChanged | Self::RollbackRuns => Kind::Conflict,
            Self::Key(error) => error.kind(),
            Self::Page(error) => error.kind(),
            Self::Database(error) => postgres::kind(error),
        }
    }

    fn code(&self) -> Cow<'static, str> {
        match self {
            Self::NotFound => "not_found".into(),
            Self::Refused(Refused::Move(..)) => "status_not_allowed".into(),
            Self::Refused(Refused::Over) => "incident_over".into(),
            Self::Refused(Refused::Itself) => "same_incident".into(),
            Self::UnknownCheck => "unknown_check".into(),
            Self::PostmortemChanged => "postmortem_changed".into(),
            Self::NoExecutor => "rollback_not_configured".into(),
            Self::NotToRollBack => "not_to_roll_back".into(),
            Self::RollbackRuns => "rollback_running".into(),
            Self::Key(error) => error.code(),
            Self::Page(error) => error.code(),
            Self::Database(error) => postgres::code(error),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Page(error) => error.fields(),
            Self::Key(error) => error.fields(),
            Self::NotFound
            | Self::Refused(_)
            | Self::UnknownCheck
            | Self::PostmortemChanged
            | Self::NoExecutor
            | Self::NotToRollBack
            | Self::RollbackRuns
            | Self::Database(_) => Vec::new(),
        }
    }

    fn outcome(&self) -> error::Outcome {
        match self {
            // A use case is one transaction.
            Self::Key(error) => error.outcome(),
            Self::Database(error) => postgres::outcome(error),
            _ => self.kind().outcome(),
        }
    }

    fn conflict(&self) -> Option<&'static str> {
        matches!(self, Self::PostmortemChanged).then_some("postmortem")
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Page(error) => error.retry_after(),
            Self::Key(error) => error.retry_after(),
            Self::NotFound
            | Self::Refused(_)
            | Self::UnknownCheck
            | Self::PostmortemChanged
            | Self::NoExecutor
            | Self::NotToRollBack
            | Self::RollbackRuns
            | Self::Database(_) => None,
        }
    }
}
