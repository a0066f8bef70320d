//! What a caller may ask of the ledger: one file per use case.
//!
//! Each makes a [`Command`], and [`Points::run`] hands it to the `writer`.

mod adjust;
mod balance;
mod earn;
mod event;
mod history;
mod hold;
mod ledger;
mod open;
mod redeem;
mod reverse;
mod transfer;
mod view;
mod writer;

pub use adjust::Adjust;
pub use balance::AccountView;
pub use earn::{Asked, Earn};
pub use history::{Entry, HistoryFilter, Page};
pub use hold::{AskedHold, PlaceHold, scope};
pub use redeem::Redeem;
pub use reverse::Reverse;
pub use transfer::Transfer;
pub use view::{HoldView, Receipt};

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use kit::cache::{Cache, Versioned};
use kit::error::{Fields, Outcome};
use kit::idempotency::{Answer, Key};
use kit::redis::Redis;
use kit::{Classify, Clock, FieldError, Kind, command, idempotency, page, postgres};
use observability::Carrier;
use observability::panics::Panicked;
use sqlx::PgPool;
use thiserror::Error;

use self::ledger::{Claim, Ledger, Work};
use self::writer::Writer;
use crate::domain::{Account, AccountId, Amount, Command, MemberId, Reference, Refused};
use crate::metrics;

/// How long a balance may be answered from the cache. It is refreshed after every commit.
const BALANCE_TTL: Duration = Duration::from_mins(5);

/// The ledger. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Points {
    db: PgPool,
    redis: Redis,
    clock: Clock,
    accounts: Cache<Account>,
    writer: Writer,
}

/// An account, as far as the caller may see it. What is not theirs looks like what is not there.
#[derive(Clone, Copy, Debug)]
pub enum Which {
    /// The account of this member.
    Of(MemberId),
    /// This account, if it is this member's.
    Owned(AccountId, MemberId),
    /// Any account.
    Any(AccountId),
}

#[derive(Debug, Error)]
pub enum Error {
    #[error("there is no such thing, or it is not yours")]
    NotFound,
    #[error(transparent)]
    Refused(Refused),
    #[error("a malformed id: {0}")]
    InvalidId(&'static str),
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
    #[error("the command panicked")]
    Panicked,
}

impl Points {
    pub fn new(db: PgPool, redis: Redis, clock: Clock) -> Self {
        let accounts = Cache::new("points:account", BALANCE_TTL, redis.clone());
        metrics::declare();
        let writer = Writer::start(&Ledger { db: db.clone(), clock: clock.clone() });
        Self { db, redis, clock, accounts, writer }
    }

    /// Runs a command once for each key, to its end even when the caller goes away.
    async fn run(&self, principal: String, key: Key, command: Command) -> Result<Answer, Error> {
        let kind = command.kind();
        let points = self.clone();
        let claim = Some(Claim { principal, key });
        let work = Work { claim, command, carrier: Carrier::current() };
        let answer = command::run(async move { points.post(work).await }).await;
        metrics::count(kind, &answer);
        answer
    }

    async fn post(&self, work: Work) -> Result<Answer, Error> {
        let posted = self.writer.submit(work).await?;
        for account in posted.accounts {
            self.refresh(account).await;
        }
        Ok(posted.answer)
    }

    /// After a commit: whoever reads now sees at least this.
    async fn refresh(&self, account: Account) {
        let version = account.balance.version();
        for key in [by_id(account.id), by_member(account.member)] {
            self.accounts.put(&key, Versioned { version, value: account.clone() }).await;
        }
    }
}

fn by_id(id: AccountId) -> String {
    format!("id:{}", id.0)
}

fn by_member(id: MemberId) -> String {
    format!("member:{}", id.0)
}

/// A number of points as it was sent; `None` is not a whole number.
fn checked_amount(fields: &mut Fields, points: Option<i64>) -> Option<Amount> {
    let amount = points.ok_or(Refused::Amount).and_then(Amount::new);
    fields.check("points", "invalid_amount", amount)
}

fn checked_reference(
    fields: &mut Fields,
    reference: Result<Reference, Refused>,
) -> Option<Reference> {
    let wrong = reference.as_ref().err().map_or("", |refused| code(*refused));
    fields.check("reference", wrong, reference)
}

impl Error {
    /// The database's failure, when whatever else we ask of it now would fail as well.
    fn outage(&self) -> Option<Arc<sqlx::Error>> {
        match self {
            Self::Database(error) if postgres::kind(error) == Kind::Unavailable => {
                Some(Arc::clone(error))
            }
            _ => None,
        }
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
            Self::Busy | Self::Overloaded => Kind::Unavailable,
            Self::Panicked => Kind::Internal,
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
            Self::Page(error) => error.code(),
            Self::Idempotency(error) => error.code(),
            Self::KeptAnswer(_) | Self::Panicked => "internal_error".into(),
            Self::Busy => "database_busy".into(),
            Self::Overloaded => "overloaded".into(),
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
            | Self::KeptAnswer(_)
            | Self::Database(_)
            | Self::Busy
            | Self::Overloaded
            | Self::Panicked => return Vec::new(),
        };
        vec![FieldError { field: field.to_owned(), code, message: self.to_string() }]
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Idempotency(error) => error.retry_after(),
            _ => None,
        }
    }

    fn outcome(&self) -> Outcome {
        match self {
            // Neither was begun.
            Self::Busy | Self::Overloaded => Outcome::None,
            _ => self.kind().outcome(),
        }
    }
}

fn kind(refused: Refused) -> Kind {
    match refused {
        Refused::NotFound => Kind::NotFound,
        Refused::Amount
        | Refused::Purchase
        | Refused::Adjustment
        | Refused::HoldTime
        | Refused::ReferenceMissing
        | Refused::ReferenceTooLong
        | Refused::ReferenceCharacter => Kind::Invalid,
        Refused::PurchaseTooSmall | Refused::BalanceLimit | Refused::SelfTransfer => Kind::Refused,
        Refused::InsufficientPoints
        | Refused::AlreadyReversed
        | Refused::NotReversible
        | Refused::HoldExists
        | Refused::HoldCaptured
        | Refused::HoldReleased
        | Refused::HoldExpired
        | Refused::CaptureExceedsHold => Kind::Conflict,
        Refused::VersionConflict => Kind::Precondition,
        Refused::Books => Kind::Internal,
    }
}

fn code(refused: Refused) -> &'static str {
    match refused {
        Refused::Amount | Refused::Purchase | Refused::Adjustment => "invalid_amount",
        Refused::PurchaseTooSmall => "purchase_too_small",
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
        Refused::HoldTime => Some("expires_in_seconds"),
        Refused::ReferenceTooLong | Refused::ReferenceCharacter | Refused::ReferenceMissing => {
            Some("reference")
        }
        _ => None,
    }
}
