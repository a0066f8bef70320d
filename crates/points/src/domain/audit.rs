//! Whether an account is what its entries say.

use super::{AccountId, TransferKind};

/// An account, as it was when the audit read it.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    pub account: AccountId,
    pub sums: Sums,
    pub version: i64,
    /// The sum of its active holds.
    pub holds: i64,
}

/// The points that an account has earned, used and promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub earned: i64,
    pub used: i64,
    pub held: i64,
}

/// One entry of its history.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub kind: TransferKind,
    pub version: i64,
    pub amount: i64,
    pub balance: i64,
}

/// What contradicts what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Broken {
    /// The balance is not what the last entry left, or what was earned, used and held is not what all entries say.
    BalanceMatchesEntries,
    /// An entry is missing, or does not add up with the one before.
    EntriesWithoutGap,
    HeldMatchesHolds,
    TransferSumsToZero,
    /// Entries without their transfer, or a transfer without entries.
    TransferHasEntries,
}

impl Broken {
    pub const ALL: [Self; 5] = [
        Self::BalanceMatchesEntries,
        Self::EntriesWithoutGap,
        Self::HeldMatchesHolds,
        Self::TransferSumsToZero,
        Self::TransferHasEntries,
    ];

    pub fn aggregate(self) -> &'static str {
        match self {
            Self::BalanceMatchesEntries | Self::EntriesWithoutGap | Self::HeldMatchesHolds => {
                "account"
            }
            Self::TransferSumsToZero | Self::TransferHasEntries => "transfer",
        }
    }

    pub fn invariant(self) -> &'static str {
        match self {
            Self::BalanceMatchesEntries => "balance_matches_entries",
            Self::EntriesWithoutGap => "entries_without_gap",
            Self::HeldMatchesHolds => "held_matches_holds",
            Self::TransferSumsToZero => "transfer_sums_to_zero",
            Self::TransferHasEntries => "transfer_has_entries",
        }
    }
}

/// Follows an account's entries from the first on.
#[derive(Clone, Copy, Debug)]
pub struct Trail {
    standing: Standing,
    version: i64,
    balance: i64,
    sums: Sums,
    gap: bool,
}

impl Sums {
    fn available(self) -> i64 {
        self.earned - self.used - self.held
    }

    /// The sums after an entry: its transfer's kind and its sign say which of them it changes. The migration
    /// `account_follows_entries` says the same in SQL.
    fn after(self, kind: TransferKind, amount: i64) -> Self {
        match (kind, amount > 0) {
            (TransferKind::Hold | TransferKind::Release | TransferKind::Expire, _)
            | (TransferKind::Capture, true) => {
                Self { held: self.held.wrapping_sub(amount), ..self }
            }
            (
                TransferKind::Earn
                | TransferKind::Transfer
                | TransferKind::Adjust
                | TransferKind::Redeem,
                true,
            )
            | (TransferKind::Reverse, false) => {
                Self { earned: self.earned.wrapping_add(amount), ..self }
            }
            (_, false) | (TransferKind::Reverse, true) => {
                Self { used: self.used.wrapping_sub(amount), ..self }
            }
        }
    }
}

impl Trail {
    pub fn new(standing: Standing) -> Self {
        Self { standing, version: 1, balance: 0, sums: Sums::default(), gap: false }
    }

    /// The next entry. One that was added since the account was read is not looked at.
    pub fn step(&mut self, step: Step) {
        if step.version > self.standing.version {
            return;
        }
        let expected = self.balance.checked_add(step.amount);
        self.gap |= step.version != self.version + 1 || expected != Some(step.balance);
        (self.version, self.balance) = (step.version, step.balance);
        self.sums = self.sums.after(step.kind, step.amount);
    }

    /// What is wrong, after the last entry.
    pub fn end(self) -> Vec<Broken> {
        let standing = self.standing;
        let last = (self.version, self.balance, self.sums)
            == (standing.version, standing.sums.available(), standing.sums);
        let found = [
            (!last, Broken::BalanceMatchesEntries),
            (self.gap, Broken::EntriesWithoutGap),
            (standing.sums.held != standing.holds, Broken::HeldMatchesHolds),
        ];
        found.into_iter().filter(|(wrong, _)| *wrong).map(|(_, broken)| broken).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn audit(available: i64, version: i64, steps: &[Step]) -> Vec<Broken> {
        let account = AccountId(Uuid::nil());
        let sums = Sums { earned: available, ..Sums::default() };
        let standing = Standing { account, sums, version, holds: 0 };
        let mut trail = Trail::new(standing);
        steps.iter().for_each(|step| trail.step(*step));
        trail.end()
    }

    proptest! {
        #[test]
        fn a_sound_history_is_sound_and_any_one_change_of_it_is_seen(
            amounts in prop::collection::vec(1..1_000_i64, 1..20),
            which: prop::sample::Index,
            by in prop_oneof![-5..=-1_i64, 1..=5_i64],
            what in 0..4,
        ) {
            let mut balance = 0;
            let mut steps: Vec<_> = (2..).zip(&amounts).map(|(version, amount)| {
                balance += amount;
                Step { kind: TransferKind::Earn, version, amount: *amount, balance }
            }).collect();
            let version = i64::try_from(amounts.len()).unwrap() + 1;
            prop_assert_eq!(audit(balance, version, &steps), []);
            // What came since is not looked at.
            let newer = Step { kind: TransferKind::Earn, version: version + 1, amount: 7, balance: -1 };
            prop_assert_eq!(audit(balance, version, &[&steps[..], &[newer]].concat()), []);

            let at = which.index(steps.len());
            match what {
                0 => { steps.remove(at); }
                1 => steps[at].amount += by,
                2 => steps[at].balance += by,
                _ => { prop_assert!(!audit(balance + by, version, &steps).is_empty()); return Ok(()) }
            }
            prop_assert!(!audit(balance, version, &steps).is_empty());
        }
    }
}
