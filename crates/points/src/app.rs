//! What a caller may ask of the ledger: one file per use case.
//!
//! No event leaves yet: nobody listens to points, and an outbox without a relay only grows. The
//! first consumer brings `outbox::publish` into [`Points::earn`].

mod balance;
mod earn;
mod history;
mod open;

pub use balance::AccountView;
pub use earn::{Asked, Earn, Receipt, Recipient};
pub use history::{Entry, HistoryFilter, Page};

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use kit::cache::{Cache, Versioned};
use kit::redis::Redis;
use kit::{Classify, Clock, FieldError, Kind, idempotency, page, postgres};
use sqlx::PgPool;
use thiserror::Error;

use crate::domain::{Account, AccountId, MemberId, Refused};
use crate::metrics;

/// How long a balance may be answered from the cache. It is refreshed after every commit.
const BALANCE_TTL: Duration = Duration::from_mins(5);

/// The ledger. Cheap to clone: each transport holds one.
#[derive(Clone)]
pub struct Points {
    db: PgPool,
    clock: Clock,
    accounts: Cache<Account>,
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
    #[error("no such account")]
    NotFound,
    #[error(transparent)]
    Refused(#[from] Refused),
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
}

impl Points {
    pub fn new(db: PgPool, redis: Redis, clock: Clock) -> Self {
        let accounts = Cache::new("points:account", BALANCE_TTL, redis);
        metrics::declare();
        Self { db, clock, accounts }
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

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::NotFound => Kind::NotFound,
            Self::Refused(Refused::PurchaseTooSmall | Refused::BalanceLimit) => Kind::Refused,
            Self::Refused(
                Refused::Amount
                | Refused::Purchase
                | Refused::ReferenceTooLong
                | Refused::ReferenceCharacter,
            )
            | Self::InvalidPeriod => Kind::Invalid,
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
            Self::KeptAnswer(_) => "internal_error".into(),
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
            Self::NotFound | Self::KeptAnswer(_) | Self::Database(_) => return Vec::new(),
        };
        vec![FieldError { field: field.to_owned(), code, message: self.to_string() }]
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Idempotency(error) => error.retry_after(),
            _ => None,
        }
    }
}

fn code(refused: Refused) -> &'static str {
    match refused {
        Refused::Amount | Refused::Purchase => "invalid_amount",
        Refused::PurchaseTooSmall => "purchase_too_small",
        Refused::ReferenceTooLong => "invalid_reference",
        Refused::ReferenceCharacter => "invalid_character",
        Refused::BalanceLimit => "balance_limit_exceeded",
    }
}

/// The field of a command that alone is wrong.
fn field(refused: Refused) -> Option<&'static str> {
    match refused {
        Refused::Amount => Some("points"),
        Refused::Purchase => Some("purchase_minor"),
        Refused::ReferenceTooLong | Refused::ReferenceCharacter => Some("reference"),
        Refused::PurchaseTooSmall | Refused::BalanceLimit => None,
    }
}
