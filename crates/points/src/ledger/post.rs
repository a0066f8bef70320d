//! The transaction of a batch, and its attempts.
//!
//! ```text
//!               another replica changed an account, or used a key, first
//!  Optimistic ─────────────────────────────────────────────────────────► Wait ──┐ used a key first
//!      │                                                                 │ ▲────┘
//!      │ a lock was not free in time                                     │ a lock was not free in time
//!      └────────────────────────────────► Skip ◄─────────────────────────┘
//! ```
//!
//! A batch starts with `Wait` when it is about more than accounts, and on contested accounts: there, half of
//! the optimistic attempts would be refused.

use std::sync::Arc;

use kit::{Clock, postgres};
use observability::metrics::concurrency_conflict;
use sqlx::{PgConnection, PgPool};

use super::batch::Batch;
use super::load::{Loaded, Loader, Locking};
use super::submission::{Reply, Submission};
use super::writer_connection::WriterConnection;
use crate::domain::{Command, IssuancePolicy};
use crate::error::Error;
use crate::store;

/// The most attempts of a batch.
const ATTEMPTS: usize = 5;

/// Posts batches to the ledger.
#[derive(Clone)]
pub(super) struct Poster {
    db: PgPool,
    clock: Clock,
    loader: Loader,
}

impl Poster {
    pub(super) fn new(db: PgPool, clock: Clock, policy: IssuancePolicy) -> Self {
        let loader = Loader::new(clock.clone(), policy);
        Self { db, clock, loader }
    }

    /// Carries out these commands, in order, in one transaction. When the database refuses the batch, each
    /// command is tried alone, so that the one at fault does not fail its neighbors.
    pub(super) async fn post(
        &self,
        connection: &mut WriterConnection,
        batch: &[Submission],
    ) -> Vec<Reply> {
        let mut outage = match self.attempts(connection, batch).await {
            Ok(replies) => return replies,
            Err(error) if batch.len() == 1 => return vec![Err(error)],
            Err(error) => error.outage(),
        };
        let mut replies = Vec::with_capacity(batch.len());
        for submission in batch {
            if let Some(error) = &outage {
                replies.push(Err(Error::Database(Arc::clone(error))));
                continue;
            }
            match self.attempts(connection, std::slice::from_ref(submission)).await {
                Ok(reply) => replies.extend(reply),
                Err(error) => {
                    outage = error.outage();
                    replies.push(Err(error));
                }
            }
        }
        replies
    }

    async fn attempts(
        &self,
        connection: &mut WriterConnection,
        batch: &[Submission],
    ) -> Result<Vec<Reply>, Error> {
        let commands = || batch.iter().map(|submission| &submission.command);
        let optimistic = commands().all(Command::names_accounts_only)
            && !self.loader.has_busy_accounts(commands())
            && !connection.is_contested();
        let mut locking = if optimistic { Locking::Optimistic } else { Locking::Wait };
        for _ in 0..ATTEMPTS {
            let attempt = self.attempt(connection, batch, locking);
            let outcome = observability::panics::catch("ledger", attempt).await;
            if !matches!(outcome, Ok(Ok(_))) {
                connection.give_back();
            }
            locking = match outcome? {
                Ok(Some(replies)) => return Ok(replies),
                Ok(None) => locking.at_least_wait(),
                Err(error) => {
                    if locking.is_overtaken(&error) {
                        connection.overtaken();
                    }
                    locking.after(&error).ok_or(error)?
                }
            };
            concurrency_conflict("account");
        }
        Err(Error::Busy)
    }

    /// Reads, decides and writes. Returns `None` when a hold was placed between the look-up of the accounts and
    /// the read of the holds.
    async fn attempt(
        &self,
        connection: &mut WriterConnection,
        batch: &[Submission],
        locking: Locking,
    ) -> sqlx::Result<Option<Vec<Reply>>> {
        let connection = connection.get(&self.db).await?;
        if locking == Locking::Optimistic {
            let Some(batch) = self.decide(connection, batch, locking).await? else {
                return Ok(None);
            };
            if !batch.is_empty() {
                // One statement, and so a transaction by itself.
                batch.write(connection).await.map_err(postgres::during_commit)?;
            }
            return Ok(Some(batch.replies));
        }
        let mut tx = store::begin(connection).await?;
        let Some(batch) = self.decide(&mut tx, batch, locking).await? else { return Ok(None) };
        if batch.is_empty() {
            postgres::query("rollback", tx.rollback()).await?;
        } else {
            batch.write(&mut tx).await?;
            postgres::commit(tx).await?;
        }
        Ok(Some(batch.replies))
    }

    async fn decide<'a>(
        &self,
        conn: &mut PgConnection,
        submissions: &'a [Submission],
        locking: Locking,
    ) -> sqlx::Result<Option<Batch<'a>>> {
        let loaded = self.loader.load(conn, submissions, locking).await?;
        let Loaded { mut set, mut now, first_answers, month } = loaded;
        if !set.is_complete() {
            return Ok(None);
        }
        let mut batch = Batch::new(first_answers, month);
        let ids = || self.clock.id();
        for submission in submissions {
            let now = *now.get_or_insert_with(|| self.clock.now());
            batch.decide(submission, &mut set, now, &ids);
        }
        Ok(Some(batch))
    }
}

impl Locking {
    fn at_least_wait(self) -> Self {
        if self == Self::Optimistic { Self::Wait } else { self }
    }

    /// The locking of the next attempt, or `None` when the error would only come again.
    fn after(self, error: &sqlx::Error) -> Option<Self> {
        if is_twin(error) {
            return Some(self.at_least_wait());
        }
        if self.is_overtaken(error) {
            return Some(Self::Wait);
        }
        let busy = postgres::code(error) == "database_busy";
        (busy && self != Self::Skip).then_some(Self::Skip)
    }

    /// True when another replica changed an account that was read without a lock.
    fn is_overtaken(self, error: &sqlx::Error) -> bool {
        self == Self::Optimistic && postgres::constraint(error) == Some("entry_place_in_history")
    }
}

/// True when another replica used the key, opened the account, placed the hold or reversed the transfer since it
/// was read. The next attempt sees that.
fn is_twin(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::RowNotFound)
        || matches!(
            postgres::constraint(error),
            Some(
                "idempotency_key_pk"
                    | "account_one_per_member"
                    | "hold_pk"
                    // Another replica has given away the rest of the budget: the next attempt refuses.
                    | "issuance_within_budget"
                    | "transfer_captures_once"
                    | "transfer_event_once"
                    | "transfer_reversed_once"
            )
        )
}
