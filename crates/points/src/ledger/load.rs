//! The reads of a batch: everything that its commands are decided from.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use kit::Clock;
use sqlx::PgConnection;
use uuid::Uuid;

use super::busy_accounts::BusyAccounts;
use super::submission::Submission;
use crate::domain::{Account, Command, Issuance, IssuancePolicy, Tender, WorkingSet};
use crate::store::{self, FirstAnswer, KeyId};

/// The protection of accounts between read and write.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Locking {
    /// Locks nothing. The database refuses a decision from an old balance.
    Optimistic,
    /// Waits for the locks of other replicas.
    Wait,
    /// Refuses the commands about accounts that others have locked, so that the others need not wait as well.
    Skip,
}

/// The state to decide a batch from.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) set: WorkingSet,
    /// The first answers to keys that were used before.
    pub(super) first_answers: HashMap<KeyId, FirstAnswer>,
    /// The database's time, where holds are decided.
    pub(super) now: Option<DateTime<Utc>>,
    pub(super) month: NaiveDate,
}

#[derive(Clone)]
pub(super) struct Loader {
    clock: Clock,
    busy: BusyAccounts,
    policy: IssuancePolicy,
}

impl Loader {
    pub(super) fn new(clock: Clock, policy: IssuancePolicy) -> Self {
        Self { clock, busy: BusyAccounts::default(), policy }
    }

    pub(super) fn has_busy_accounts<'a>(
        &self,
        commands: impl Iterator<Item = &'a Command>,
    ) -> bool {
        self.busy.contains_any(commands.flat_map(Command::accounts))
    }

    /// Locks the accounts as `locking` says, then reads the state that others could change until then.
    pub(super) async fn load(
        &self,
        conn: &mut PgConnection,
        batch: &[Submission],
        locking: Locking,
    ) -> sqlx::Result<Loaded> {
        let commands = || batch.iter().map(|submission| &submission.command);
        let holds: Vec<_> = commands().filter_map(Command::hold).map(|id| id.0).collect();
        let transfers: Vec<_> = commands().filter_map(Command::reverses).map(|id| id.0).collect();
        let events: Vec<_> = commands().filter_map(Command::event).map(|id| id.0).collect();

        let mut loaded = Loaded { month: Issuance::month(self.clock.now()), ..Loaded::default() };
        self.load_accounts(conn, batch, locking, &mut loaded).await?;
        if !holds.is_empty() {
            loaded.now = Some(store::now(conn).await?);
            let holds = store::holds(conn, &holds).await?;
            holds.into_iter().for_each(|hold| loaded.set.add_hold(hold));
        }
        self.load_merchants(conn, batch, &mut loaded).await?;
        if !events.is_empty() {
            for (event, earning) in store::event_earnings(conn, &events).await? {
                loaded.set.add_event(event, earning);
            }
        }
        if !transfers.is_empty() {
            for (id, transfer) in store::reversible_transfers(conn, &transfers).await? {
                loaded.set.add_transfer(id, transfer);
            }
        }
        Ok(loaded)
    }

    /// Loads accounts and the first answers to keys: in one statement, unless accounts are locked.
    async fn load_accounts(
        &self,
        conn: &mut PgConnection,
        batch: &[Submission],
        locking: Locking,
        loaded: &mut Loaded,
    ) -> sqlx::Result<()> {
        let keys: Vec<_> = batch.iter().filter_map(Submission::key).collect();
        let ids = account_ids(conn, batch).await?;
        let accounts = match locking {
            Locking::Optimistic => {
                let (accounts, answers) = store::accounts_and_keys(conn, &ids, &keys).await?;
                loaded.first_answers = answers;
                accounts
            }
            Locking::Wait => {
                let (free, busy) = self.busy.split(ids);
                let mut accounts = store::lock(conn, &free).await?;
                if !busy.is_empty() {
                    accounts.extend(self.lock_free(conn, busy, &mut loaded.set).await?);
                }
                accounts
            }
            Locking::Skip => self.lock_free(conn, ids, &mut loaded.set).await?,
        };
        if locking != Locking::Optimistic {
            loaded.first_answers = store::first_answers(conn, &keys).await?;
        }
        accounts.into_iter().for_each(|account| loaded.set.add_account(account));
        Ok(())
    }

    /// Locks those of these accounts that are free. The others are busy.
    async fn lock_free(
        &self,
        conn: &mut PgConnection,
        mut ids: Vec<Uuid>,
        set: &mut WorkingSet,
    ) -> sqlx::Result<Vec<Account>> {
        let accounts = store::lock_free(conn, &ids).await?;
        let locked: HashSet<_> = accounts.iter().map(|account| account.id.0).collect();
        self.busy.remove(locked.iter());
        ids.retain(|id| !locked.contains(id));
        if !ids.is_empty() {
            for (id, member) in store::owners(conn, &ids).await? {
                self.busy.add(id);
                set.add_busy(id, member);
            }
        }
        Ok(accounts)
    }

    /// Loads the merchants' issuance, the memberships that matter, and the tender values of other currencies.
    async fn load_merchants(
        &self,
        conn: &mut PgConnection,
        batch: &[Submission],
        loaded: &mut Loaded,
    ) -> sqlx::Result<()> {
        let commands = || batch.iter().map(|submission| &submission.command);
        let pairs = loaded.set.memberships(commands());
        let mut merchants: Vec<_> =
            commands().filter_map(Command::earning).map(|(id, _)| id.0).collect();
        merchants.sort_unstable();
        merchants.dedup();
        if !(merchants.is_empty() && pairs.is_empty()) {
            let (issuance, memberships) =
                store::issuance(conn, &merchants, loaded.month, &pairs).await?;
            for of_merchant in issuance {
                let issuance = of_merchant.with_default(self.policy.bounds);
                loaded.set.add_issuance(of_merchant.merchant, issuance);
            }
            for (merchant, member) in memberships {
                loaded.set.add_merchant_member(merchant, member);
            }
        }
        loaded.set.add_tender(self.policy.currency.clone(), Tender::UNIT);
        let foreign: Vec<_> = commands()
            .filter_map(Command::currency)
            .filter(|currency| **currency != self.policy.currency)
            .map(|currency| currency.as_str().to_owned())
            .collect();
        if !foreign.is_empty() {
            for (currency, tender) in store::tenders(conn, Some(&foreign)).await? {
                loaded.set.add_tender(currency, tender);
            }
        }
        Ok(())
    }
}

/// The accounts that the commands name, and those of the members, holds and transfers that they name.
async fn account_ids(conn: &mut PgConnection, batch: &[Submission]) -> sqlx::Result<Vec<Uuid>> {
    let commands = || batch.iter().map(|submission| &submission.command);
    let members: Vec<_> = commands().filter_map(Command::member).map(|id| id.0).collect();
    let holds: Vec<_> = commands().filter_map(Command::hold).map(|id| id.0).collect();
    let transfers: Vec<_> = commands().filter_map(Command::reverses).map(|id| id.0).collect();
    let mut accounts: Vec<_> = commands().flat_map(Command::accounts).map(|id| id.0).collect();
    if !(members.is_empty() && holds.is_empty() && transfers.is_empty()) {
        accounts.extend(store::accounts_behind(conn, &members, &holds, &transfers).await?);
    }
    Ok(accounts)
}
