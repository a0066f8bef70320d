//! How commands reach the ledger: a batch of them in one transaction.
//!
//! Commands on one account wait for each other, so that none is refused for contention: three
//! optimistic tries would refuse half of them on a hot account.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{Clock, postgres};
use observability::Carrier;
use observability::metrics::concurrency_conflict;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::held::Held;
use super::{Error, event, view};
use crate::domain::{Account, AccountId, Books, Command, Decision, Refused};
use crate::store::{self, Answered, Kept};

/// How often a batch starts anew because somebody else was first with a key, an account or a hold.
const ATTEMPTS: usize = 5;

/// A command, with its key unless we ask by ourselves.
#[derive(Clone, Debug)]
pub(crate) struct Work {
    pub(crate) claim: Option<Claim>,
    pub(crate) command: Command,
    /// Where it comes from, for whoever is told of it.
    pub(crate) carrier: Carrier,
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
    /// The accounts it changed.
    pub(crate) accounts: Vec<Account>,
    /// The one of them that was not there before.
    pub(crate) opened: Option<AccountId>,
}

pub(crate) type Verdict = Result<Posted, Error>;

/// The ledger's way into the database.
#[derive(Clone)]
pub(crate) struct Ledger {
    pub(crate) db: PgPool,
    pub(crate) clock: Clock,
}

/// What to do about accounts that somebody else has locked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Locked {
    Wait,
    /// Refuse their commands, so that the others need not wait as well.
    Refuse,
}

impl Ledger {
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
        let mut locked = Locked::Wait;
        for _ in 0..ATTEMPTS {
            let attempt = self.attempt(held, batch, locked);
            let outcome = observability::panics::catch("ledger", attempt).await;
            if !matches!(outcome, Ok(Ok(_))) {
                held.give_back();
            }
            match outcome? {
                Ok(Some(verdicts)) => return Ok(verdicts),
                Ok(None) => {}
                Err(error) if is_twin(&error) => {}
                Err(error)
                    if postgres::code(&error) == "database_busy" && locked == Locked::Wait =>
                {
                    locked = Locked::Refuse;
                }
                Err(error) => return Err(error.into()),
            }
            concurrency_conflict("account");
        }
        Err(Error::Busy)
    }

    /// `None`: what we read was overtaken before it was locked.
    async fn attempt(
        &self,
        held: &mut Held,
        batch: &[Work],
        locked: Locked,
    ) -> sqlx::Result<Option<Vec<Verdict>>> {
        let mut tx = held.begin(&self.db).await?;
        let Loaded { mut books, mut now, busy } = self.load(&mut tx, batch, locked).await?;
        if !books.is_complete() {
            return Ok(None);
        }
        let names: Vec<_> = batch
            .iter()
            .filter_map(|work| work.claim.as_ref())
            .map(|claim| store::name(&claim.principal, &claim.key))
            .collect();
        let kept = store::kept(&mut tx, &names).await?;

        let mut desk = Desk::new(kept);
        let ids = || self.clock.id();
        for work in batch {
            desk.decide(
                work,
                &mut books,
                *now.get_or_insert_with(|| self.clock.now()),
                &ids,
                &busy,
            );
        }
        if desk.decisions.is_empty() {
            postgres::query("rollback", tx.rollback()).await?;
            return Ok(Some(desk.verdicts));
        }
        desk.write(&mut tx).await?;
        postgres::commit(tx).await?;
        Ok(Some(desk.verdicts))
    }

    /// Locks the accounts, then reads what may have changed until they were locked.
    async fn load(
        &self,
        tx: &mut PgConnection,
        batch: &[Work],
        locked: Locked,
    ) -> sqlx::Result<Loaded> {
        let commands = || batch.iter().map(|work| &work.command);
        let members: Vec<_> = commands().filter_map(Command::member).map(|id| id.0).collect();
        let holds: Vec<_> = commands().filter_map(Command::hold).map(|id| id.0).collect();
        let transfers: Vec<_> = commands().filter_map(Command::reverses).map(|id| id.0).collect();
        let mut accounts: Vec<_> = commands().flat_map(Command::accounts).map(|id| id.0).collect();
        if !(members.is_empty() && holds.is_empty() && transfers.is_empty()) {
            accounts.extend(store::accounts_behind(tx, &members, &holds, &transfers).await?);
        }

        let mut loaded = Loaded { books: Books::default(), now: None, busy: HashSet::new() };
        let found = match locked {
            Locked::Wait => store::lock(tx, &accounts).await?,
            Locked::Refuse => store::lock_free(tx, &accounts).await?,
        };
        if locked == Locked::Refuse {
            let free: HashSet<_> = found.iter().map(|account| account.id.0).collect();
            loaded.busy = accounts.into_iter().filter(|id| !free.contains(id)).collect();
        }
        found.into_iter().for_each(|account| loaded.books.add_account(account));
        if !holds.is_empty() {
            loaded.now = Some(store::now(tx).await?);
            let holds = store::holds(tx, &holds).await?;
            holds.into_iter().for_each(|hold| loaded.books.add_hold(hold));
        }
        let sales = loaded.books.sales(commands());
        if !sales.is_empty() {
            for (merchant, member) in store::sellers(tx, &sales).await? {
                loaded.books.add_seller(merchant, member);
            }
        }
        if !transfers.is_empty() {
            for (id, recorded) in store::recorded(tx, &transfers).await? {
                loaded.books.add_transfer(id, recorded);
            }
        }
        Ok(loaded)
    }
}

struct Loaded {
    books: Books,
    /// Read from the database where it decides something.
    now: Option<chrono::DateTime<chrono::Utc>>,
    /// Accounts that are locked elsewhere, or not there at all.
    busy: HashSet<Uuid>,
}

/// Takes the commands of a batch one by one, and remembers what to write.
struct Desk<'a> {
    kept: HashMap<store::KeyName, Kept>,
    /// Keys used in this batch, and where.
    used: HashMap<store::KeyName, usize>,
    works: Vec<&'a Work>,
    verdicts: Vec<Verdict>,
    decisions: Vec<Decision>,
    /// Which verdict each decision made.
    made: Vec<usize>,
}

impl<'a> Desk<'a> {
    fn new(kept: HashMap<store::KeyName, Kept>) -> Self {
        Self {
            kept,
            used: HashMap::new(),
            works: Vec::new(),
            verdicts: Vec::new(),
            decisions: Vec::new(),
            made: Vec::new(),
        }
    }

    fn decide(
        &mut self,
        work: &'a Work,
        books: &mut Books,
        now: chrono::DateTime<chrono::Utc>,
        ids: &dyn Fn() -> Uuid,
        busy: &HashSet<Uuid>,
    ) {
        self.works.push(work);
        let name = work.claim.as_ref().map(|claim| store::name(&claim.principal, &claim.key));
        if let (Some(name), Some(claim)) = (&name, &work.claim)
            && let Some(verdict) = self.replay(name, claim)
        {
            return self.verdicts.push(verdict);
        }
        let verdict = match books.decide(&work.command, now, ids) {
            Ok(decision) => {
                if let Some(name) = name {
                    self.used.insert(name, self.verdicts.len());
                }
                self.made.push(self.verdicts.len());
                let answer = answer(&decision);
                let (accounts, opened) = (decision.accounts.clone(), decision.opened);
                self.decisions.push(decision);
                Ok(Posted { answer, accounts, opened })
            }
            Err(Refused::NotFound) if !busy.is_empty() => Err(Error::Busy),
            Err(refused) => Err(refused.into()),
        };
        self.verdicts.push(verdict);
    }

    /// The answer to a key that was used before, or earlier in this batch.
    fn replay(&self, name: &store::KeyName, claim: &Claim) -> Option<Verdict> {
        let again = |fingerprint: &[u8], status: StatusCode, body: &[u8]| {
            if fingerprint != claim.key.fingerprint {
                return Err(idempotency::Error::Reused.into());
            }
            let answer = Answer { status, body: body.to_vec(), replayed: true };
            Ok(Posted { answer, accounts: Vec::new(), opened: None })
        };
        if let Some(kept) = self.kept.get(name) {
            let status = u16::try_from(kept.status).ok().and_then(|s| StatusCode::from_u16(s).ok());
            return Some(again(&kept.fingerprint, status?, &kept.body));
        }
        let first = *self.used.get(name)?;
        let first_key = &self.works.get(first)?.claim.as_ref()?.key;
        let first = &self.verdicts.get(first)?.as_ref().ok()?.answer;
        Some(again(&first_key.fingerprint, first.status, &first.body))
    }

    async fn write(&self, tx: &mut PgConnection) -> sqlx::Result<()> {
        let mut accounts: HashMap<AccountId, &Account> = HashMap::new();
        for account in self.decisions.iter().flat_map(|decision| &decision.accounts) {
            accounts.insert(account.id, account);
        }
        let accounts: Vec<_> = accounts.into_values().cloned().collect();
        let opened: Vec<_> = self.decisions.iter().filter_map(|decision| decision.opened).collect();
        let answered: Vec<_> = self
            .made
            .iter()
            .filter_map(|index| {
                let claim = self.works.get(*index)?.claim.as_ref()?;
                let answer = &self.verdicts.get(*index)?.as_ref().ok()?.answer;
                Some(Answered { principal: &claim.principal, key: &claim.key, answer })
            })
            .collect();
        let made = self.decisions.iter().zip(&self.made);
        let published: Vec<_> = made
            .filter_map(|(decision, index)| event::of(decision, &self.works.get(*index)?.carrier))
            .collect();
        store::write(tx, &self.decisions, &accounts, &opened, &published, &answered).await
    }
}

/// The body of the answer, which is kept with the key.
fn answer(decision: &Decision) -> Answer {
    let status = match &decision.hold {
        None if decision.transfer.is_none() => StatusCode::OK,
        Some(hold) if hold.settled_at.is_some() => StatusCode::OK,
        _ => StatusCode::CREATED,
    };
    view::answer(status, &decision.done, decision.transfer.as_ref().map(|transfer| transfer.id.0))
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
                    | "transfer_reversed_once"
            )
        )
}
