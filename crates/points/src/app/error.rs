//! What may go wrong, and of what kind it is.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use kit::error::Outcome;
use kit::{Classify, FieldError, Kind, breaker, idempotency, page, postgres};
use observability::panics::Panicked;
use thiserror::Error;

use crate::domain::Refused;

#[derive(Debug, Error)]
pub enum Error {
    #[error("there is no such thing, or it is not yours")]
    NotFound,
    #[error(transparent)]
    Refused(Refused),
    #[error("a malformed id: {0}")]
    InvalidId(&'static str),
    /// None, forged, or for another service, hold, member, merchant or number of points.
    #[error("the member has not granted this hold")]
    GrantInvalid,
    #[error("the member's grant has expired")]
    GrantExpired,
    /// Not the grant's fault.
    #[error("grants cannot be verified right now")]
    Unverifiable,
    #[error("a period ends after it starts, within the years 0 to 9999")]
    InvalidPeriod,
    #[error(transparent)]
    Page(#[from] page::Error),
    #[error(transparent)]
    Idempotency(#[from] idempotency::Error),
    #[error("the kept answer cannot be read")]
    KeptAnswer(#[from] serde_json::Error),
    /// Shared, because one failed load may answer many readers.
    #[error("database failure")]
    Database(#[from] Arc<sqlx::Error>),
    #[error("the account is in use for too long")]
    Busy,
    #[error("too many commands are waiting")]
    Overloaded,
    /// The breaker is open: it was not asked.
    #[error("the database is away")]
    Away(Duration),
    /// Redis did not say whether it has taken the command.
    #[error("the fallback queue does not answer")]
    NotQueued,
    #[error("the command panicked")]
    Panicked,
}

impl Error {
    /// The database's failure, when whatever else we ask of it now would fail as well.
    pub(super) fn outage(&self) -> Option<Arc<sqlx::Error>> {
        match self {
            Self::Database(error) if postgres::kind(error) == Kind::Unavailable => {
                Some(Arc::clone(error))
            }
            _ => None,
        }
    }
}

impl Error {
    /// Whether the database itself has failed, or was known to. A refused command says nothing about it,
    /// and neither does one that met too many others.
    pub(super) fn is_outage(&self) -> bool {
        match self {
            Self::Away(_) => true,
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
        Self::Away(open.retry_after)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound => Self::NotFound,
            refused => Self::Refused(refused),
        }
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
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Refused(refused) => kind(*refused),
            Self::InvalidPeriod => Kind::Invalid,
            Self::Busy | Self::Overloaded | Self::Away(_) | Self::NotQueued => Kind::Unavailable,
            Self::Unverifiable => Kind::Unavailable,
            Self::Panicked => Kind::Internal,
            Self::GrantInvalid | Self::GrantExpired => Kind::Forbidden,
            Self::InvalidId(_) => Kind::Malformed,
            Self::Page(error) => error.kind(),
            Self::Idempotency(error) => error.kind(),
            Self::KeptAnswer(_) => Kind::Internal,
            Self::Database(error) => postgres::kind(error),
        }
    }

    fn code(&self) -> Cow<'static, str> {
        match self {
            Self::NotFound => "not_found".into(),
            Self::Refused(refused) => code(*refused).into(),
            Self::InvalidPeriod => "invalid_period".into(),
            Self::InvalidId(_) => "invalid_id".into(),
            Self::GrantInvalid => "grant_invalid".into(),
            Self::GrantExpired => "grant_expired".into(),
            Self::Unverifiable => "keys_unavailable".into(),
            Self::Page(error) => error.code(),
            Self::Idempotency(error) => error.code(),
            Self::KeptAnswer(_) | Self::Panicked => "internal_error".into(),
            Self::Busy => "database_busy".into(),
            Self::Overloaded => "overloaded".into(),
            Self::Away(_) | Self::NotQueued => "database_unavailable".into(),
            Self::Database(error) => postgres::code(error),
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        let (field, code) = match self {
            Self::Refused(refused) => match field(*refused) {
                Some(field) => (field, code(*refused)),
                None => return Vec::new(),
            },
            Self::InvalidPeriod => ("to", "invalid_period"),
            Self::InvalidId(field) => (*field, "invalid_id"),
            Self::Page(error) => return error.fields(),
            Self::Idempotency(error) => return error.fields(),
            Self::NotFound
            | Self::GrantInvalid
            | Self::GrantExpired
            | Self::Unverifiable
            | Self::KeptAnswer(_)
            | Self::Database(_)
            | Self::Busy
            | Self::Overloaded
            | Self::Away(_)
            | Self::NotQueued
            | Self::Panicked => return Vec::new(),
        };
        vec![FieldError { field: field.to_owned(), code, message: self.to_string() }]
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Idempotency(error) => error.retry_after(),
            Self::Away(until) => Some((*until).max(Duration::from_secs(1))),
            _ => None,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            // None was begun.
            Self::Busy | Self::Overloaded | Self::Away(_) | Self::Unverifiable => Outcome::None,
            // A use case is one transaction.
            Self::Idempotency(error) => error.outcome(),
            Self::Database(error) => postgres::outcome(error),
            _ => self.kind().outcome(),
        }
    }

    fn conflict(&self) -> Option<&'static str> {
        matches!(self, Self::Refused(Refused::VersionConflict)).then_some("account")
    }
}

fn kind(refused: Refused) -> Kind {
    match refused {
        Refused::NotFound => Kind::NotFound,
        Refused::Amount
        | Refused::Purchase
        | Refused::Currency
        | Refused::Rate
        | Refused::RulePeriod
        | Refused::Time
        | Refused::Adjustment
        | Refused::HoldTime
        | Refused::Tender
        | Refused::Price
        | Refused::Bounds
        | Refused::ReferenceMissing
        | Refused::ReferenceTooLong
        | Refused::ReferenceCharacter => Kind::Invalid,
        Refused::PurchaseTooSmall
        | Refused::BalanceLimit
        | Refused::SelfTransfer
        | Refused::TenderValueMissing
        | Refused::ExceedsPrice
        | Refused::RateExceedsLimit
        | Refused::IssuanceBudget
        | Refused::OwnMerchant => Kind::Refused,
        Refused::InsufficientPoints
        | Refused::RuleOverlaps
        | Refused::RuleEnded
        | Refused::AlreadyReversed
        | Refused::NotReversible
        | Refused::HoldExists
        | Refused::EventExists
        | Refused::HoldOfService
        | Refused::HoldCaptured
        | Refused::HoldReleased
        | Refused::HoldExpired
        | Refused::CaptureExceedsHold => Kind::Conflict,
        Refused::VersionConflict => Kind::Precondition,
        Refused::Books => Kind::Internal,
    }
}

pub(super) fn code(refused: Refused) -> &'static str {
    match refused {
        Refused::Amount | Refused::Purchase | Refused::Adjustment | Refused::Price => {
            "invalid_amount"
        }
        Refused::Tender => "invalid_tender_value",
        Refused::Bounds => "invalid_bounds",
        Refused::TenderValueMissing => "tender_value_missing",
        Refused::ExceedsPrice => "exceeds_price",
        Refused::RateExceedsLimit => "rate_exceeds_limit",
        Refused::IssuanceBudget => "issuance_budget_exhausted",
        Refused::OwnMerchant => "own_merchant",
        Refused::PurchaseTooSmall => "purchase_too_small",
        Refused::Currency => "invalid_currency",
        Refused::Rate => "invalid_rate",
        Refused::RulePeriod => "invalid_period",
        Refused::Time => "invalid_time",
        Refused::RuleOverlaps => "rule_overlaps",
        Refused::RuleEnded => "rule_ended",
        Refused::ReferenceTooLong | Refused::ReferenceMissing => "invalid_reference",
        Refused::ReferenceCharacter => "invalid_character",
        Refused::BalanceLimit => "balance_limit_exceeded",
        Refused::NotFound => "not_found",
        Refused::InsufficientPoints => "insufficient_points",
        Refused::SelfTransfer => "self_transfer",
        Refused::VersionConflict => "version_conflict",
        Refused::AlreadyReversed => "already_reversed",
        Refused::NotReversible => "not_reversible",
        Refused::HoldTime => "invalid_hold_time",
        Refused::HoldExists => "hold_exists",
        Refused::EventExists => "event_exists",
        Refused::HoldOfService => "hold_of_service",
        Refused::HoldCaptured => "hold_captured",
        Refused::HoldReleased => "hold_released",
        Refused::HoldExpired => "hold_expired",
        Refused::CaptureExceedsHold => "capture_exceeds_hold",
        Refused::Books => "internal_error",
    }
}

/// The field of a command that alone is wrong.
fn field(refused: Refused) -> Option<&'static str> {
    match refused {
        Refused::Amount | Refused::Adjustment => Some("points"),
        Refused::Purchase => Some("purchase_minor"),
        Refused::Price => Some("price_minor"),
        Refused::Tender => Some("points"),
        Refused::Bounds => Some("budget_points"),
        Refused::Currency => Some("currency"),
        Refused::Rate => Some("points"),
        Refused::RulePeriod => Some("valid_until"),
        Refused::Time => Some("occurred_at"),
        Refused::HoldTime => Some("expires_in_seconds"),
        Refused::ReferenceTooLong | Refused::ReferenceCharacter | Refused::ReferenceMissing => {
            Some("reference")
        }
        _ => None,
    }
}
