//! The comparison of an account with its entries.

use super::{AccountId, TransferKind};

/// An account at the moment when the audit read it.
#[derive(Clone, Copy, Debug)]
pub struct AuditedAccount {
    pub account: AccountId,
    pub sums: Sums,
    pub version: i64,
    /// The sum of its active holds.
    pub holds: i64,
}

/// The points that an account has earned, used and held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub earned: i64,
    pub used: i64,
    pub held: i64,
}

/// One entry of the history of an account.
#[derive(Clone, Copy, Debug)]
pub struct AuditedEntry {
    pub kind: TransferKind,
    pub version: i64,
    pub amount: i64,
    pub balance: i64,
}

/// A rule of the ledger that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BrokenInvariant {
    /// The balance differs from the last entry, or the sums of earned, used and held differ from all entries.
    BalanceMatchesEntries,
    /// An entry is missing, or does not add up with the entry before it.
    EntriesWithoutGap,
    HeldMatchesHolds,
    TransferSumsToZero,
    /// A transfer has no entries, or entries have no transfer.
    TransferHasEntries,
}

impl BrokenInvariant {
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

/// An audit of one account, which follows its entries from the first on.
#[derive(Clone, Copy, Debug)]
pub struct AccountAudit {
    account: AuditedAccount,
    version: i64,
    balance: i64,
    sums: Sums,
    gap: bool,
}

impl Sums {
    fn available(self) -> i64 {
        self.earned - self.used - self.held
    }

    /// The sums after an entry. The kind of its transfer and its sign decide which sum changes. The migration
    /// `account_follows_entries` has the same rule in SQL.
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

impl AccountAudit {
    pub fn new(account: AuditedAccount) -> Self {
        Self { account, version: 1, balance: 0, sums: Sums::default(), gap: false }
    }

    /// Takes the next entry. Entries that are newer than the account are ignored.
    pub fn add(&mut self, entry: AuditedEntry) {
        if entry.version > self.account.version {
            return;
        }
        let expected = self.balance.checked_add(entry.amount);
        self.gap |= entry.version != self.version + 1 || expected != Some(entry.balance);
        (self.version, self.balance) = (entry.version, entry.balance);
        self.sums = self.sums.after(entry.kind, entry.amount);
    }

    /// Returns the rules that do not hold, after the last entry.
    pub fn finish(self) -> Vec<BrokenInvariant> {
        let account = self.account;
        let last = (self.version, self.balance, self.sums)
            == (account.version, account.sums.available(), account.sums);
        let found = [
            (!last, BrokenInvariant::BalanceMatchesEntries),
            (self.gap, BrokenInvariant::EntriesWithoutGap),
            (account.sums.held != account.holds, BrokenInvariant::HeldMatchesHolds),
        ];
        found.into_iter().filter(|(wrong, _)| *wrong).map(|(_, broken)| broken).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    fn audit(available: i64, version: i64, entries: &[AuditedEntry]) -> Vec<BrokenInvariant> {
        let account = AccountId(Uuid::nil());
        let sums = Sums { earned: available, ..Sums::default() };
        let mut audit = AccountAudit::new(AuditedAccount { account, sums, version, holds: 0 });
        entries.iter().for_each(|entry| audit.add(*entry));
        audit.finish()
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
            let mut entries: Vec<_> = (2..).zip(&amounts).map(|(version, amount)| {
                balance += amount;
                AuditedEntry { kind: TransferKind::Earn, version, amount: *amount, balance }
            }).collect();
            let version = i64::try_from(amounts.len()).unwrap() + 1;
            prop_assert_eq!(audit(balance, version, &entries), []);
            // Newer entries are ignored.
            let newer = AuditedEntry { kind: TransferKind::Earn, version: version + 1, amount: 7, balance: -1 };
            prop_assert_eq!(audit(balance, version, &[&entries[..], &[newer]].concat()), []);

            let at = which.index(entries.len());
            match what {
                0 => { entries.remove(at); }
                1 => entries[at].amount += by,
                2 => entries[at].balance += by,
                _ => { prop_assert!(!audit(balance + by, version, &entries).is_empty()); return Ok(()) }
            }
            prop_assert!(!audit(balance, version, &entries).is_empty());
        }
    }
}
