//! How commands reach the ledger: a batch of them in one transaction.
//!
//! A batch is read in one statement, decided here, and written in another, which is the transaction. Nothing
//! is locked meanwhile: an entry has its place in its account's history, no two have the same, and so the
//! database refuses, whole, what was decided from an old balance. The writers of a process keep `apart`.
//! When another replica wants the same accounts, we lock them before we read, for a while: on a hot
//! account optimistic tries would refuse half of the commands. The same when a batch is about more than
//! accounts.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::NaiveDate;
use kit::idempotency::{Answer, Key};
use kit::{Clock, postgres};
use observability::metrics::concurrency_conflict;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Error;
use super::desk::Desk;
use super::held::Held;
use super::issuance::{Issuing, month};
use super::stuck::Stuck;
use crate::domain::{Account, AccountId, Books, Command, Tender};
use crate::store::{self, Kept, KeyName};

/// How often a batch starts anew because somebody else was first with a key, an account or a hold.
const ATTEMPTS: usize = 5;

/// A command, with its key unless we ask by ourselves.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) claim: Option<Claim>,
    pub(crate) command: Command,
}

impl Work {
    pub(super) fn key(&self) -> Option<KeyName> {
        self.claim.as_ref().map(|claim| store::name(&claim.principal, &claim.key))
    }
}

/// Whose key it is.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) principal: String,
    pub(crate) key: Key,
}

/// A command that was done, now or before.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) answer: Answer,
    /// The accounts it changed; of a command that was done before, those it is about, as they are now.
    pub(crate) accounts: Vec<Account>,
    /// The one of them that was not there before.
    pub(crate) opened: Option<AccountId>,
}

pub(crate) type Verdict = Result<Posted, Error>;

/// The ledger's way into the database.
#[derive(Clone)]
pub(crate) struct Ledger {
    db: PgPool,
    clock: Clock,
    stuck: Stuck,
    issuing: Issuing,
}

/// How accounts are kept from others between reading and writing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Locking {
    /// Not at all.
    None,
    Wait,
    /// Commands about those that somebody else has locked are refused, so that the others need not wait as well.
    Refuse,
}

impl Locking {
    fn at_least_wait(self) -> Self {
        if self == Self::None { Self::Wait } else { self }
    }
}

impl Ledger {
    pub(super) fn new(db: PgPool, clock: Clock, issuing: Issuing) -> Self {
        Self { db, clock, stuck: Stuck::default(), issuing }
    }

    /// Does these commands, in order, in one transaction. A refused one is answered and does nothing; one
    /// that the database chokes on is tried apart from its neighbors.
    pub(crate) async fn post(&self, held: &mut Held, batch: &[Work]) -> Vec<Verdict> {
        let mut outage = match self.attempts(held, batch).await {
            Ok(verdicts) => return verdicts,
            Err(error) if batch.len() == 1 => return vec![Err(error)],
            Err(error) => error.outage(),
        };
        let mut verdicts = Vec::with_capacity(batch.len());
        for work in batch {
            if let Some(error) = &outage {
                verdicts.push(Err(Error::Database(Arc::clone(error))));
                continue;
            }
            match self.attempts(held, std::slice::from_ref(work)).await {
                Ok(verdict) => verdicts.extend(verdict),
                Err(error) => {
                    outage = error.outage();
                    verdicts.push(Err(error));
                }
            }
        }
        verdicts
    }

    async fn attempts(&self, held: &mut Held, batch: &[Work]) -> Result<Vec<Verdict>, Error> {
        let commands = || batch.iter().map(|work| &work.command);
        let plain = commands().all(Command::names_accounts_only)
            && !self.stuck.contains_any(commands().flat_map(Command::accounts));
        let mut locking = if plain && !held.is_contested() { Locking::None } else { Locking::Wait };
        for _ in 0..ATTEMPTS {
            let attempt = self.attempt(held, batch, locking);
            let outcome = observability::panics::catch("ledger", attempt).await;
            if !matches!(outcome, Ok(Ok(_))) {
                held.give_back();
            }
            locking = match outcome? {
                Ok(Some(verdicts)) => return Ok(verdicts),
                Ok(None) => locking.at_least_wait(),
                Err(error) if is_twin(&error) => locking.at_least_wait(),
                Err(error) if locking == Locking::None && is_overtaken(&error) => {
                    held.contested();
                    Locking::Wait
                }
                Err(error)
                    if postgres::code(&error) == "database_busy" && locking != Locking::Refuse =>
                {
                    Locking::Refuse
                }
                Err(error) => return Err(error.into()),
            };
            concurrency_conflict("account");
        }
        Err(Error::Busy)
    }

    /// `None`: what we read was overtaken before it was locked.
    async fn attempt(
        &self,
        held: &mut Held,
        batch: &[Work],
        locking: Locking,
    ) -> sqlx::Result<Option<Vec<Verdict>>> {
        let connection = held.connection(&self.db).await?;
        if locking == Locking::None {
            let Some(desk) = self.decide(connection, batch, locking).await? else {
                return Ok(None);
            };
            if !desk.is_empty() {
                // One statement, and so a transaction by itself.
                desk.write(connection).await.map_err(postgres::during_commit)?;
            }
            return Ok(Some(desk.verdicts));
        }
        let mut tx = store::begin(connection).await?;
        let Some(desk) = self.decide(&mut tx, batch, locking).await? else { return Ok(None) };
        if desk.is_empty() {
            postgres::query("rollback", tx.rollback()).await?;
        } else {
            desk.write(&mut tx).await?;
            postgres::commit(tx).await?;
        }
        Ok(Some(desk.verdicts))
    }

    async fn decide<'a>(
        &self,
        conn: &mut PgConnection,
        batch: &'a [Work],
        locking: Locking,
    ) -> sqlx::Result<Option<Desk<'a>>> {
        let Loaded { mut books, mut now, kept, month } = self.load(conn, batch, locking).await?;
        if !books.is_complete() {
            return Ok(None);
        }
        let mut desk = Desk::new(kept, month);
        let ids = || self.clock.id();
        for work in batch {
            let now = *now.get_or_insert_with(|| self.clock.now());
            desk.decide(work, &mut books, now, &ids);
        }
        Ok(Some(desk))
    }

    /// Locks the accounts if it is to, then reads what may have changed until they were locked.
    async fn load(
        &self,
        tx: &mut PgConnection,
        batch: &[Work],
        locking: Locking,
    ) -> sqlx::Result<Loaded> {
        let commands = || batch.iter().map(|work| &work.command);
        let members: Vec<_> = commands().filter_map(Command::member).map(|id| id.0).collect();
        let holds: Vec<_> = commands().filter_map(Command::hold).map(|id| id.0).collect();
        let transfers: Vec<_> = commands().filter_map(Command::reverses).map(|id| id.0).collect();
        let mut accounts: Vec<_> = commands().flat_map(Command::accounts).map(|id| id.0).collect();
        let events: Vec<_> = commands().filter_map(Command::event).map(|id| id.0).collect();
        if !(members.is_empty() && holds.is_empty() && transfers.is_empty()) {
            accounts.extend(store::accounts_behind(tx, &members, &holds, &transfers).await?);
        }

        let names: Vec<_> = batch.iter().filter_map(Work::key).collect();
        let mut loaded = Loaded::default();
        let found = match locking {
            Locking::None => {
                let (found, kept) = store::look(tx, &accounts, &names).await?;
                loaded.kept = kept;
                found
            }
            Locking::Wait => {
                let (others, stuck) = self.stuck.split(accounts);
                let mut found = store::lock(tx, &others).await?;
                if !stuck.is_empty() {
                    found.extend(self.lock_free(tx, stuck, &mut loaded.books).await?);
                }
                found
            }
            Locking::Refuse => self.lock_free(tx, accounts, &mut loaded.books).await?,
        };
        if locking != Locking::None {
            loaded.kept = store::kept(tx, &names).await?;
        }
        found.into_iter().for_each(|account| loaded.books.add_account(account));
        if !holds.is_empty() {
            loaded.now = Some(store::now(tx).await?);
            let holds = store::holds(tx, &holds).await?;
            holds.into_iter().for_each(|hold| loaded.books.add_hold(hold));
        }
        self.load_merchants(tx, batch, &mut loaded).await?;
        if !events.is_empty() {
            for (event, earned) in store::earned(tx, &events).await? {
                loaded.books.add_earned(event, earned);
            }
        }
        if !transfers.is_empty() {
            for (id, recorded) in store::recorded(tx, &transfers).await? {
                loaded.books.add_transfer(id, recorded);
            }
        }
        Ok(loaded)
    }

    /// What merchants may give away, who belongs to them, and what points are worth elsewhere.
    async fn load_merchants(
        &self,
        tx: &mut PgConnection,
        batch: &[Work],
        loaded: &mut Loaded,
    ) -> sqlx::Result<()> {
        let commands = || batch.iter().map(|work| &work.command);
        loaded.month = month(self.clock.now());
        let pairs = loaded.books.memberships(commands());
        let mut merchants: Vec<_> =
            commands().filter_map(Command::earning).map(|(id, _)| id.0).collect();
        merchants.sort_unstable();
        merchants.dedup();
        if !(merchants.is_empty() && pairs.is_empty()) {
            let (given, belong) = store::given(tx, &merchants, loaded.month, &pairs).await?;
            for merchant in given {
                let issuance = merchant.issuance(self.issuing.bounds);
                loaded.books.add_issuance(merchant.merchant, issuance);
            }
            belong.into_iter().for_each(|(m, member)| loaded.books.add_seller(m, member));
        }
        loaded.books.add_tender(self.issuing.currency.clone(), Tender::UNIT);
        let foreign = commands().filter_map(Command::currency);
        let foreign: Vec<_> = foreign
            .filter(|currency| **currency != self.issuing.currency)
            .map(|currency| currency.as_str().to_owned())
            .collect();
        if !foreign.is_empty() {
            for (currency, tender) in store::tenders(tx, Some(&foreign)).await? {
                loaded.books.add_tender(currency, tender);
            }
        }
        Ok(())
    }

    /// Locks those of these accounts that nobody else has locked; the others are busy.
    async fn lock_free(
        &self,
        tx: &mut PgConnection,
        mut accounts: Vec<Uuid>,
        books: &mut Books,
    ) -> sqlx::Result<Vec<Account>> {
        let found = store::lock_free(tx, &accounts).await?;
        let free: HashSet<_> = found.iter().map(|account| account.id.0).collect();
        self.stuck.remove(free.iter());
        accounts.retain(|id| !free.contains(id));
        if !accounts.is_empty() {
            for (id, member) in store::owners(tx, &accounts).await? {
                self.stuck.add(id);
                books.add_busy(id, member);
            }
        }
        Ok(found)
    }
}

#[derive(Default)]
struct Loaded {
    books: Books,
    /// What was answered to their keys before.
    kept: HashMap<KeyName, Kept>,
    /// Read from the database where it decides something.
    now: Option<chrono::DateTime<chrono::Utc>>,
    month: NaiveDate,
}

/// Somebody else used the key, opened the account, made the hold or reversed the transfer since we
/// looked: now it is there to be seen.
fn is_twin(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::RowNotFound)
        || matches!(
            postgres::constraint(error),
            Some(
                "idempotency_key_pk"
                    | "account_one_per_member"
                    | "hold_pk"
                    // Another replica has given away what was left: now we see it, and refuse.
                    | "issuance_within_budget"
                    | "transfer_captures_once"
                    | "transfer_event_once"
                    | "transfer_reversed_once"
            )
        )
}

/// Somebody else has changed an account since we read it, without a lock.
fn is_overtaken(error: &sqlx::Error) -> bool {
    postgres::constraint(error) == Some("entry_place_in_history")
}
