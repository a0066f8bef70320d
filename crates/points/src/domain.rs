//! The rules of the ledger, as plain functions over plain values.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MerchantId(pub Uuid);

/// A number of points to move: 1 to 1,000,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount(i64);

/// What a member paid, in the currency's minor units: at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase(i64);

/// What points are earned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    Purchase(Purchase),
    Points(Amount),
}

/// How many minor units of a purchase make one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversionRule {
    minor_per_point: i64,
}

/// What a transfer was for, such as `booking:<id>`. For people and for tracing back; never parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference(String);

/// A member's account. `used + held ≤ earned` holds in the database too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub member: MemberId,
    pub balance: Balance,
    pub opened_at: DateTime<Utc>,
}

/// The points of an account, and how many entries made them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    earned: i64,
    used: i64,
    held: i64,
    version: i64,
}

/// Why points moved. Each movement is a transfer, whose entries sum to zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferKind {
    Earn,
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
    #[error("this purchase is worth less than one point")]
    PurchaseTooSmall,
    #[error("a reference is at most {} characters", Reference::MAX_CHARS)]
    ReferenceTooLong,
    #[error("a reference has no control characters")]
    ReferenceCharacter,
    #[error("an account cannot hold that many points")]
    BalanceLimit,
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

impl Purchase {
    pub fn new(minor: i64) -> Result<Self, Refused> {
        if minor >= 1 { Ok(Self(minor)) } else { Err(Refused::Purchase) }
    }
}

impl ConversionRule {
    /// The rule of a merchant that has none of its own: 1 point for every full 100 minor units.
    pub const STANDARD: Self = Self { minor_per_point: 100 };

    /// The points that `basis` is worth. Rounds down: a part of a point is not earned.
    pub fn points(self, basis: Basis) -> Result<Amount, Refused> {
        match basis {
            Basis::Points(amount) => Ok(amount),
            Basis::Purchase(Purchase(minor)) => match minor / self.minor_per_point {
                0 => Err(Refused::PurchaseTooSmall),
                points => Amount::new(points).map_err(|_| Refused::Purchase),
            },
        }
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

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Account {
    /// A new account: no points, first version.
    pub fn open(id: AccountId, member: MemberId, now: DateTime<Utc>) -> Self {
        let balance = Balance { earned: 0, used: 0, held: 0, version: 1 };
        Self { id, member, balance, opened_at: now }
    }
}

impl Balance {
    /// The most points an account can ever earn: 2^53 − 1. Beyond it, a JSON client that reads
    /// numbers as doubles would see another balance than ours.
    pub const MAX_EARNED: i64 = (1 << 53) - 1;

    /// The balance after earning `amount`.
    pub fn earn(self, amount: Amount) -> Result<Self, Refused> {
        let earned = self
            .earned
            .checked_add(amount.0)
            .filter(|earned| *earned <= Self::MAX_EARNED)
            .ok_or(Refused::BalanceLimit)?;
        Ok(Self { earned, version: self.version + 1, ..self })
    }

    /// Trusts values that the database's constraints already guard.
    pub(crate) fn from_stored(earned: i64, used: i64, held: i64, version: i64) -> Self {
        Self { earned, used, held, version }
    }

    /// Points ever credited.
    pub fn earned(self) -> i64 {
        self.earned
    }

    /// Points ever spent.
    pub fn used(self) -> i64 {
        self.used
    }

    /// Points promised to a hold right now.
    pub fn held(self) -> i64 {
        self.held
    }

    /// Points the member may spend.
    pub fn available(self) -> i64 {
        self.earned - self.used - self.held
    }

    /// Grows by one with every entry.
    pub fn version(self) -> i64 {
        self.version
    }
}

impl TransferKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Earn => "earn",
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn balance(earned: i64) -> Balance {
        Balance::from_stored(earned, 0, 0, 1)
    }

    #[test]
    fn a_point_is_earned_for_every_full_hundred() {
        let worth = |minor| ConversionRule::STANDARD.points(Basis::Purchase(Purchase(minor)));
        assert_eq!(worth(99), Err(Refused::PurchaseTooSmall));
        assert_eq!(worth(100), Ok(Amount(1)));
        assert_eq!(worth(199), Ok(Amount(1)));
        assert_eq!(worth(100_000_000_099), Ok(Amount(Amount::MAX)));
        assert_eq!(worth(100_000_000_100), Err(Refused::Purchase));
        assert_eq!(worth(i64::MAX), Err(Refused::Purchase));
    }

    #[test]
    fn an_account_holds_what_a_double_can_count_and_no_more() {
        let almost = balance(Balance::MAX_EARNED - 1);
        assert_eq!(almost.earn(Amount(1)).unwrap().earned(), Balance::MAX_EARNED);
        assert_eq!(almost.earn(Amount(2)), Err(Refused::BalanceLimit));
        assert_eq!(balance(i64::MAX).earn(Amount(1)), Err(Refused::BalanceLimit));
    }

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

        #[test]
        fn a_purchase_is_never_worth_more_than_it_paid_for(minor in 1..=i64::MAX) {
            match ConversionRule::STANDARD.points(Basis::Purchase(Purchase(minor))) {
                Ok(points) => prop_assert!(points.get() * 100 <= minor && minor < points.get() * 100 + 100),
                Err(refused) => prop_assert!(
                    refused == Refused::PurchaseTooSmall && minor < 100
                        || refused == Refused::Purchase && minor / 100 > Amount::MAX
                ),
            }
        }

        #[test]
        fn earning_adds_exactly_the_amount_or_changes_nothing(
            earned in 0..=Balance::MAX_EARNED,
            spent in 0.0..=1.0,
            points in 1..=Amount::MAX,
        ) {
            #[expect(clippy::cast_possible_truncation, reason = "any part of the whole will do")]
            let used = (earned as f64 * spent) as i64;
            let before = Balance::from_stored(earned, used.min(earned), 0, 7);
            match before.earn(Amount(points)) {
                Ok(after) => {
                    prop_assert_eq!(after.earned(), before.earned() + points);
                    prop_assert_eq!(after.available(), before.available() + points);
                    prop_assert_eq!((after.used(), after.held()), (before.used(), before.held()));
                    prop_assert_eq!(after.version(), before.version() + 1);
                }
                Err(refused) => {
                    prop_assert_eq!(refused, Refused::BalanceLimit);
                    prop_assert!(earned + points > Balance::MAX_EARNED);
                }
            }
        }
    }
}
