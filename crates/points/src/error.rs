//! The failures of this service, each with its kind and code.

use std::sync::Arc;
use std::time::Duration;

use kit::error::{Class, Outcome};
use kit::{Classify, Kind, breaker, idempotency, page, postgres};
use observability::panics::Panicked;
use thiserror::Error;

use crate::domain::Refused;

#[derive(Debug, Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refused),
    #[error("the id is not a UUID")]
    InvalidId(&'static str),
    /// The grant is absent, forged, or for another service, hold, member, merchant or number of points.
    #[error("the member has not granted this hold")]
    GrantInvalid,
    #[error("the member's grant has expired")]
    GrantExpired,
    /// The keys of auth cannot be read. The grant may be right.
    #[error("the keys that verify grants are unavailable")]
    KeysUnavailable,
    #[error("the period must end after it starts, within the years 0 to 9999")]
    InvalidPeriod,
    #[error(transparent)]
    Page(#[from] page::Error),
    #[error(transparent)]
    Idempotency(#[from] idempotency::Error),
    /// Shared, because one failed load may answer many readers.
    #[error("the database failed")]
    Database(#[from] Arc<sqlx::Error>),
    #[error("the account is locked for too long")]
    Busy,
    #[error("the queue of commands is full")]
    Overloaded,
    /// The breaker is open, so the database was not asked.
    #[error("the database is unavailable")]
    DatabaseAway(Duration),
    /// Redis did not say whether it has taken the earning.
    #[error("the fallback queue did not answer")]
    QueueUnavailable,
    #[error("the command panicked")]
    Panicked,
}

impl Error {
    /// The database's failure, if it would fail every other command too.
    pub(crate) fn outage(&self) -> Option<Arc<sqlx::Error>> {
        match self {
            Self::Database(error) if self.kind() == Kind::Unavailable => Some(Arc::clone(error)),
            _ => None,
        }
    }

    /// True when the database itself failed, or was known to be away. Refusals and lock conflicts say nothing
    /// about it.
    pub(crate) fn is_outage(&self) -> bool {
        match self {
            Self::DatabaseAway(_) => true,
            Self::Database(error) => is_outage(error),
            Self::Idempotency(idempotency::Error::Database(error)) => is_outage(error),
            _ => false,
        }
    }
}

fn is_outage(error: &sqlx::Error) -> bool {
    matches!(&*postgres::code(error), "database_unavailable" | "outcome_unknown")
}

impl From<breaker::Open> for Error {
    fn from(open: breaker::Open) -> Self {
        Self::DatabaseAway(open.retry_after)
    }
}

impl From<Panicked> for Error {
    fn from(_: Panicked) -> Self {
        Self::Panicked // the hook has logged it
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Refused(refused) => class(*refused),
            Self::InvalidId(field) => Kind::Malformed.code("invalid_id").field(field),
            Self::GrantInvalid => Kind::Forbidden.code("grant_invalid"),
            Self::GrantExpired => Kind::Forbidden.code("grant_expired"),
            Self::KeysUnavailable => {
                Kind::Unavailable.code("keys_unavailable").outcome(Outcome::None)
            }
            Self::InvalidPeriod => Kind::Invalid.code("invalid_period").field("to"),
            Self::Page(error) => error.class(),
            Self::Idempotency(error) => error.class(),
            Self::Database(error) => postgres::class(error),
            Self::Busy => Kind::Unavailable.code("database_busy").outcome(Outcome::None),
            Self::Overloaded => Kind::Unavailable.code("overloaded").outcome(Outcome::None),
            Self::DatabaseAway(until) => Kind::Unavailable
                .code("database_unavailable")
                .outcome(Outcome::None)
                .retry_after((*until).max(Duration::from_secs(1))),
            Self::QueueUnavailable => Kind::Unavailable.code("database_unavailable"),
            Self::Panicked => Kind::Internal.code("internal_error"),
        }
    }
}

fn class(refused: Refused) -> Class {
    match refused {
        Refused::Amount | Refused::Adjustment => {
            Kind::Invalid.code("invalid_amount").field("points")
        }
        Refused::Purchase => Kind::Invalid.code("invalid_amount").field("purchase_minor"),
        Refused::Price => Kind::Invalid.code("invalid_amount").field("price_minor"),
        Refused::Tender => Kind::Invalid.code("invalid_tender_value").field("points"),
        Refused::Bounds => Kind::Invalid.code("invalid_bounds").field("budget_points"),
        Refused::Currency => Kind::Invalid.code("invalid_currency").field("currency"),
        Refused::Rate => Kind::Invalid.code("invalid_rate").field("points"),
        Refused::RulePeriod => Kind::Invalid.code("invalid_period").field("valid_until"),
        Refused::Time => Kind::Invalid.code("invalid_time").field("occurred_at"),
        Refused::HoldDuration => {
            Kind::Invalid.code("invalid_hold_time").field("expires_in_seconds")
        }
        Refused::ReferenceTooLong | Refused::ReferenceMissing => {
            Kind::Invalid.code("invalid_reference").field("reference")
        }
        Refused::ReferenceCharacter => Kind::Invalid.code("invalid_character").field("reference"),
        Refused::NotFound(_) => Kind::NotFound.code("not_found"),
        Refused::PurchaseTooSmall => Kind::Refused.code("purchase_too_small"),
        Refused::BalanceLimit => Kind::Refused.code("balance_limit_exceeded"),
        Refused::SelfTransfer => Kind::Refused.code("self_transfer"),
        Refused::TenderValueMissing => Kind::Refused.code("tender_value_missing"),
        Refused::ExceedsPrice => Kind::Refused.code("exceeds_price"),
        Refused::RateExceedsLimit => Kind::Refused.code("rate_exceeds_limit"),
        Refused::IssuanceBudget => Kind::Refused.code("issuance_budget_exhausted"),
        Refused::OwnMerchant => Kind::Refused.code("own_merchant"),
        Refused::InsufficientPoints => Kind::Conflict.code("insufficient_points"),
        Refused::RuleOverlaps => Kind::Conflict.code("rule_overlaps"),
        Refused::RuleEnded => Kind::Conflict.code("rule_ended"),
        Refused::AlreadyReversed => Kind::Conflict.code("already_reversed"),
        Refused::NotReversible => Kind::Conflict.code("not_reversible"),
        Refused::HoldExists => Kind::Conflict.code("hold_exists"),
        Refused::EventExists => Kind::Conflict.code("event_exists"),
        Refused::HoldOfService => Kind::Conflict.code("hold_of_service"),
        Refused::HoldCaptured => Kind::Conflict.code("hold_captured"),
        Refused::HoldReleased => Kind::Conflict.code("hold_released"),
        Refused::HoldExpired => Kind::Conflict.code("hold_expired"),
        Refused::CaptureExceedsHold => Kind::Conflict.code("capture_exceeds_hold"),
        Refused::VersionConflict => Kind::Precondition.code("version_conflict").conflict("account"),
        Refused::Inconsistent => Kind::Internal.code("internal_error"),
    }
}
