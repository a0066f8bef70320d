use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{AccountId, Amount, MemberId, Refused};

/// A member's account. `used + held ≤ earned` holds in the database too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub member: MemberId,
    pub balance: Balance,
    pub opened_at: DateTime<Utc>,
}

/// The points of an account. Each entry raises the version by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    earned: i64,
    used: i64,
    held: i64,
    version: i64,
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
            .checked_add(amount.get())
            .filter(|earned| *earned <= Self::MAX_EARNED)
            .ok_or(Refused::BalanceLimit)?;
        Ok(Self { earned, version: self.version + 1, ..self })
    }

    /// The balance after spending `amount`.
    pub fn spend(self, amount: Amount) -> Result<Self, Refused> {
        self.require(amount)?;
        Ok(Self { used: self.used + amount.get(), version: self.version + 1, ..self })
    }

    /// The balance with a spending undone. `amount` was spent before, so `used` covers it unless the
    /// ledger is corrupt.
    pub fn refund(self, amount: Amount) -> Result<Self, Refused> {
        let used = self.used - amount.get();
        if used < 0 {
            return Err(Refused::Inconsistent);
        }
        Ok(Self { used, version: self.version + 1, ..self })
    }

    /// The balance with an earning undone. Points spent meanwhile cannot be taken back.
    pub fn take_back(self, amount: Amount) -> Result<Self, Refused> {
        self.require(amount)?;
        Ok(Self { earned: self.earned - amount.get(), version: self.version + 1, ..self })
    }

    /// The balance with `amount` held.
    pub fn hold(self, amount: Amount) -> Result<Self, Refused> {
        self.require(amount)?;
        Ok(Self { held: self.held + amount.get(), version: self.version + 1, ..self })
    }

    /// The balance with a held `amount` available again.
    pub fn free(self, amount: Amount) -> Result<Self, Refused> {
        let held = self.held - amount.get();
        if held < 0 {
            return Err(Refused::Inconsistent);
        }
        Ok(Self { held, version: self.version + 1, ..self })
    }

    fn require(self, amount: Amount) -> Result<(), Refused> {
        if self.available() < amount.get() { Err(Refused::InsufficientPoints) } else { Ok(()) }
    }

    /// Trusts values that the database's constraints already guard.
    pub(crate) fn from_stored(earned: i64, used: i64, held: i64, version: i64) -> Self {
        Self { earned, used, held, version }
    }

    /// Points ever credited, and not taken back.
    pub fn earned(self) -> i64 {
        self.earned
    }

    /// Points ever spent, and not given back.
    pub fn used(self) -> i64 {
        self.used
    }

    /// Points held right now.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(points: i64) -> Amount {
        Amount::new(points).unwrap()
    }

    fn balance(earned: i64) -> Balance {
        Balance::from_stored(earned, 0, 0, 1)
    }

    #[test]
    fn an_account_holds_what_a_double_can_count_and_no_more() {
        let almost = balance(Balance::MAX_EARNED - 1);
        assert_eq!(almost.earn(amount(1)).unwrap().earned(), Balance::MAX_EARNED);
        assert_eq!(almost.earn(amount(2)), Err(Refused::BalanceLimit));
        assert_eq!(balance(i64::MAX).earn(amount(1)), Err(Refused::BalanceLimit));
    }

    proptest! {
        #[test]
        fn earning_adds_exactly_the_amount_or_changes_nothing(
            earned in 0..=Balance::MAX_EARNED,
            spent in 0.0..=1.0,
            points in 1..=Amount::MAX,
        ) {
            #[expect(clippy::cast_possible_truncation, reason = "any part of the whole will do")]
            let used = (earned as f64 * spent) as i64;
            let before = Balance::from_stored(earned, used.min(earned), 0, 7);
            match before.earn(amount(points)) {
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
