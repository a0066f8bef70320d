//! The rules of the ledger, as plain functions over plain values.

mod account;
mod actor;
mod audit;
pub mod command;
mod conversion;
mod decide;
mod decision;
mod hold;
mod working_set;
mod worth;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

pub use account::{Account, Balance};
pub use actor::{Actor, MerchantRole, ServiceName};
pub use audit::{AccountAudit, AuditedAccount, AuditedEntry, BrokenInvariant, Sums};
pub use command::{AccountRef, Adjustment, Command};
pub use conversion::{Basis, Currency, Purchase, Rate, Rule, RuleId};
pub use decide::decide;
pub use decision::{Decision, Done, Entry, Moved, Side, Transfer};
pub use hold::{Hold, HoldDuration, HoldState, HoldTerms};
pub use working_set::{EventEarning, ReversibleTransfer, WorkingSet};
pub use worth::{Bounds, Issuance, IssuancePolicy, Price, Tender, Value};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TransferId(pub Uuid);

/// The ledger draws it for a member. A service chooses its own, so that it can release a hold whose answer
/// was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HoldId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MerchantId(pub Uuid);

/// The id of an event of another service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EventId(pub Uuid);

/// A number of points to move: 1 to 1,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
pub struct Amount(i64);

/// The purpose of a transfer, such as `booking:<id>`. People read it; no program parses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference(String);

/// The reason of a movement. Each movement is a transfer, whose entries sum to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    Earn,
    Redeem,
    /// Moves points from one member to another.
    Transfer,
    /// Undoes another transfer.
    Reverse,
    /// Corrects an account, by an operator.
    Adjust,
    Hold,
    Capture,
    Release,
    /// Frees a hold that was not settled in time.
    Expire,
}

/// The reason why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("points must be a whole number from 1 to {}", Amount::MAX)]
    Amount,
    #[error(
        "a purchase must be a whole number of minor units, at least 1, worth at most {} points",
        Amount::MAX
    )]
    Purchase,
    #[error(
        "the purchase is worth less than one point, or below the minimum of the merchant's rule"
    )]
    PurchaseTooSmall,
    #[error("a currency must be three capital letters of ISO 4217, such as JPY")]
    Currency,
    #[error(
        "a rate must be 1 to {} points for 1 to {} minor units, on purchases of at least 1 to {}",
        Rate::MAX_POINTS,
        Rate::MAX_PER_MINOR,
        Rate::MAX_MIN_MINOR
    )]
    Rate,
    #[error("another rule of the merchant applies in this period")]
    RuleOverlaps,
    #[error("a rule must begin now or later, end after it begins, and is never prolonged")]
    RulePeriod,
    #[error("the time must be within the last 90 days")]
    Time,
    #[error("the rule has ended")]
    RuleEnded,
    #[error("a reference must have at most {} characters", Reference::MAX_CHARS)]
    ReferenceTooLong,
    #[error("a reference must not contain control characters")]
    ReferenceCharacter,
    #[error("a reference is required")]
    ReferenceMissing,
    #[error("a tender value must be 1 to {max} points for 1 to {max} minor units, and not in the unit of account", max = Tender::MAX)]
    Tender,
    #[error("the currency has no tender value")]
    TenderValueMissing,
    #[error("a price must be a whole number of minor units, at least 1")]
    Price,
    #[error("the points are worth more than the price")]
    ExceedsPrice,
    #[error(
        "the highest rate must be 1 to 100 percent, and the budget 0 to {} points",
        Bounds::MAX_BUDGET
    )]
    Bounds,
    #[error("the rate is above the merchant's limit")]
    RateExceedsLimit,
    #[error("the merchant's budget of this month is exhausted")]
    IssuanceBudget,
    #[error("a member cannot earn points at their own merchant")]
    OwnMerchant,
    #[error("the account's balance would exceed its limit")]
    BalanceLimit,
    /// The named thing does not exist, or is not the actor's: both look the same.
    #[error("{0} not found")]
    NotFound(&'static str),
    #[error("the account has not enough points")]
    InsufficientPoints,
    #[error("an account cannot transfer to itself")]
    SelfTransfer,
    #[error("an adjustment must be a whole number from -{max} to {max}, and not 0", max = Amount::MAX)]
    Adjustment,
    #[error("the account has changed since it was read")]
    VersionConflict,
    #[error("the transfer is already reversed")]
    AlreadyReversed,
    #[error("a transfer of this kind cannot be reversed")]
    NotReversible,
    #[error(
        "a hold must last {} to {} seconds",
        HoldDuration::MIN_SECONDS,
        HoldDuration::MAX_SECONDS
    )]
    HoldDuration,
    #[error("the hold id is already used by another hold")]
    HoldExists,
    #[error("the event has already earned points with another member, merchant or reference")]
    EventExists,
    #[error("the hold was placed by another service, which settles it")]
    HoldOfService,
    #[error("the hold is already captured")]
    HoldCaptured,
    #[error("the hold is already released")]
    HoldReleased,
    #[error("the hold has expired")]
    HoldExpired,
    #[error("the capture exceeds the hold")]
    CaptureExceedsHold,
    /// A balance denies what is being undone. Never queued, never retried.
    #[error("the ledger contradicts itself")]
    Inconsistent,
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

    /// A reference that is not empty.
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
