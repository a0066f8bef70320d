//! The rules of the ledger, as plain functions over plain values.

mod account;
mod actor;
mod audit;
mod books;
mod command;
mod conversion;
mod draft;
mod hold;
mod worth;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

pub use account::{Account, Balance};
pub use actor::{Actor, MerchantRole, ServiceName};
pub use audit::{Broken, Standing, Step, Sums, Trail};
pub use books::{Books, Decision, Done, Earned, Entry, Moved, Recorded, Side, Transfer};
pub use command::{Adjustment, Command, Payer, Recipient};
pub use conversion::{Basis, Currency, Purchase, Rate, Rule, RuleId};
pub use hold::{Held, Hold, HoldState, HoldTime};
pub use worth::{Bounds, Issuance, Price, Tender, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransferId(pub Uuid);

/// Drawn by the ledger for a member. A service chooses its own, so that a release can name a hold whose answer
/// was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HoldId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MerchantId(pub Uuid);

/// An event of another service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventId(pub Uuid);

/// A number of points to move: 1 to 1,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

/// What a transfer was for, such as `booking:<id>`. For people and for tracing back; never parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference(String);

/// Why points moved. Each movement is a transfer, whose entries sum to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    Earn,
    Redeem,
    /// From one member to another.
    Transfer,
    /// Undoes another transfer.
    Reverse,
    /// An operator's correction.
    Adjust,
    Hold,
    Capture,
    Release,
    /// A hold that nobody settled in time.
    Expire,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("an amount is a whole number of points, 1 to {}", Amount::MAX)]
    Amount,
    #[error(
        "a purchase is a whole number of minor units, at least 1, worth at most {} points",
        Amount::MAX
    )]
    Purchase,
    #[error(
        "this purchase is worth less than one point, or smaller than the merchant's rule asks for"
    )]
    PurchaseTooSmall,
    #[error("a currency is three capital letters of ISO 4217, such as JPY")]
    Currency,
    #[error(
        "a rate is 1 to {} points for 1 to {} minor units, on purchases of at least 1 to {}",
        Rate::MAX_POINTS,
        Rate::MAX_PER_MINOR,
        Rate::MAX_MIN_MINOR
    )]
    Rate,
    #[error("another rule of this merchant applies in that time")]
    RuleOverlaps,
    #[error("a rule begins now or later, ends after it begins, and is never prolonged")]
    RulePeriod,
    #[error("points are earned now, or were within the last 90 days")]
    Time,
    #[error("the rule has ended")]
    RuleEnded,
    #[error("a reference is at most {} characters", Reference::MAX_CHARS)]
    ReferenceTooLong,
    #[error("a reference has no control characters")]
    ReferenceCharacter,
    #[error("a reference says why: it is not empty")]
    ReferenceMissing,
    #[error("a tender value is 1 to {max} points for 1 to {max} minor units, of another currency than the unit of account", max = Tender::MAX)]
    Tender,
    #[error("an operator has not said what a point is worth in this currency")]
    TenderValueMissing,
    #[error("a price is a whole number of minor units, at least 1")]
    Price,
    #[error("the points are worth more than the price")]
    ExceedsPrice,
    #[error(
        "the highest rate is 1 to 100 percent, and a budget 0 to {} points",
        Bounds::MAX_BUDGET
    )]
    Bounds,
    #[error("the rate gives more of a purchase than this merchant may")]
    RateExceedsLimit,
    #[error("the merchant has given away its points of this month")]
    IssuanceBudget,
    #[error("nobody earns points at a merchant that they belong to")]
    OwnMerchant,
    #[error("an account cannot hold that many points")]
    BalanceLimit,
    #[error("no such account, hold or transfer")]
    NotFound,
    #[error("not enough points")]
    InsufficientPoints,
    #[error("an account cannot transfer to itself")]
    SelfTransfer,
    #[error("an adjustment is a whole number of points, -{max} to {max}, and not 0", max = Amount::MAX)]
    Adjustment,
    #[error("the account has changed since it was read")]
    VersionConflict,
    #[error("this transfer was reversed before")]
    AlreadyReversed,
    #[error("a transfer of this kind cannot be reversed")]
    NotReversible,
    #[error("a hold lasts {} to {} seconds", HoldTime::MIN_SECONDS, HoldTime::MAX_SECONDS)]
    HoldTime,
    #[error("another hold has this id")]
    HoldExists,
    #[error(
        "this event has earned points already, of another member or merchant or for another reason"
    )]
    EventExists,
    #[error("another service placed this hold, and settles it")]
    HoldOfService,
    #[error("the hold was captured")]
    HoldCaptured,
    #[error("the hold was released")]
    HoldReleased,
    #[error("the hold has expired")]
    HoldExpired,
    #[error("a capture is at most what the hold holds")]
    CaptureExceedsHold,
    /// A balance says that what we are undoing never happened. Never queued, never retried.
    #[error("the books contradict themselves")]
    Books,
}

impl Amount {
    pub const MAX: i64 = 1_000_000_000;

    pub fn new(points: i64) -> Result<Self, Refused> {
        if (1..=Self::MAX).contains(&points) { Ok(Self(points)) } else { Err(Refused::Amount) }
    }

    pub fn get(self) -> i64 {
        self.0
    }
}

impl TryFrom<i64> for Amount {
    type Error = Refused;

    fn try_from(points: i64) -> Result<Self, Refused> {
        Self::new(points)
    }
}

impl From<Amount> for i64 {
    fn from(amount: Amount) -> Self {
        amount.0
    }
}

impl Reference {
    pub const MAX_CHARS: usize = 200;

    pub fn new(text: String) -> Result<Self, Refused> {
        if text.chars().count() > Self::MAX_CHARS {
            return Err(Refused::ReferenceTooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(Refused::ReferenceCharacter);
        }
        Ok(Self(text))
    }

    /// One that must say something.
    pub fn required(text: String) -> Result<Self, Refused> {
        if text.trim().is_empty() { Err(Refused::ReferenceMissing) } else { Self::new(text) }
    }

    /// Trusts a text that was checked before it was stored.
    pub(crate) fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TransferKind {
    pub const ALL: [Self; 9] = [
        Self::Earn,
        Self::Redeem,
        Self::Transfer,
        Self::Reverse,
        Self::Adjust,
        Self::Hold,
        Self::Capture,
        Self::Release,
        Self::Expire,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Earn => "earn",
            Self::Redeem => "redeem",
            Self::Transfer => "transfer",
            Self::Reverse => "reverse",
            Self::Adjust => "adjust",
            Self::Hold => "hold",
            Self::Capture => "capture",
            Self::Release => "release",
            Self::Expire => "expire",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_reference_counts_characters_and_refuses_control_characters() {
        assert!(Reference::new("é".repeat(200)).is_ok());
        assert_eq!(Reference::new("é".repeat(201)), Err(Refused::ReferenceTooLong));
        for text in ["a\0b", "a\nb", "\u{1b}[31m", "\u{85}"] {
            assert_eq!(Reference::new(text.to_owned()), Err(Refused::ReferenceCharacter));
        }
    }

    proptest! {
        #[test]
        fn only_amounts_within_bounds_exist(points: i64) {
            prop_assert_eq!(Amount::new(points).is_ok(), (1..=Amount::MAX).contains(&points));
        }
    }
}
