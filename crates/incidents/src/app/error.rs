use kit::error::Class;
use kit::{Classify, Kind, idempotency, page, postgres};
use thiserror::Error;

use crate::domain::Refused;

/// The failure of a use case.
#[derive(Debug, Error)]
pub enum Error {
    #[error("incident not found")]
    UnknownIncident,
    #[error("action not found")]
    UnknownAction,
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the checklist of this severity does not have the item")]
    UnknownCheck,
    #[error("the postmortem has been changed meanwhile")]
    PostmortemChanged,
    #[error("rollbacks are not configured: ROLLBACK_EXECUTOR is none")]
    NoExecutor,
    #[error("the service cannot be rolled back from here")]
    NotToRollBack,
    #[error("a rollback of the service is running")]
    RollbackRuns,
    #[error(transparent)]
    Key(#[from] idempotency::Error),
    #[error(transparent)]
    Page(#[from] page::Error),
    #[error("database failure")]
    Database(#[from] sqlx::Error),
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::UnknownIncident | Self::UnknownAction => Kind::NotFound.code("not_found"),
            Self::Refused(Refused::Move(..)) => Kind::Refused.code("status_not_allowed"),
            Self::Refused(Refused::Over) => Kind::Refused.code("incident_over"),
            Self::Refused(Refused::Itself) => Kind::Refused.code("same_incident"),
            Self::UnknownCheck => Kind::Refused.code("unknown_check"),
            Self::PostmortemChanged => {
                Kind::Conflict.code("postmortem_changed").conflict("postmortem")
            }
            Self::NoExecutor => Kind::Refused.code("rollback_not_configured"),
            Self::NotToRollBack => Kind::Refused.code("not_to_roll_back"),
            Self::RollbackRuns => Kind::Conflict.code("rollback_running"),
            Self::Key(error) => error.class(),
            Self::Page(error) => error.class(),
            Self::Database(error) => postgres::class(error),
        }
    }
}
