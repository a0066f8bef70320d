//! What a caller may ask: one file per use case.

mod list;
mod receive;
mod show;

pub use list::{Filter, Incident, Page};
pub use receive::{Delivery, Outcome};
pub use show::{AlertView, IncidentDetail};

use std::borrow::Cow;
use std::time::Duration;

use kit::{Classify, Clock, FieldError, Kind, page, postgres};
use sqlx::PgPool;
use thiserror::Error;

use crate::metrics;

/// The incidents. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Incidents {
    db: PgPool,
    clock: Clock,
}

#[derive(Debug, Error)]
pub enum Error {
    #[error("no such incident")]
    NotFound,
    #[error(transparent)]
    Page(#[from] page::Error),
    #[error("database failure")]
    Database(#[from] sqlx::Error),
}

impl Incidents {
    pub fn new(db: PgPool, clock: Clock) -> Self {
        metrics::declare();
        Self { db, clock }
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Page(error) => error.kind(),
            Self::Database(error) => postgres::kind(error),
        }
    }

    fn code(&self) -> Cow<'static, str> {
        match self {
            Self::NotFound => "not_found".into(),
            Self::Page(error) => error.code(),
            Self::Database(error) => postgres::code(error),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Page(error) => error.fields(),
            Self::NotFound | Self::Database(_) => Vec::new(),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Page(error) => error.retry_after(),
            Self::NotFound | Self::Database(_) => None,
        }
    }
}
