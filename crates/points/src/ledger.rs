//! The ledger: the way of a command that moves points. This is the one exception to the shape of the other use
//! cases, which each run in a transaction of their own.
//!
//! ```text
//!  a use case                           a writer, one of two in a process
//!  ──────────                           ─────────────────────────────────
//!                     1 queue           2 batch
//!  Ledger::submit ──► up to 1,024 ────► up to 64 commands that wait, and the locks of
//!        ▲            commands,         their accounts among the writers of the process
//!        │            512 per account                      │
//!        │                                                 ▼
//!        │                              3 read             accounts, keys        (1 statement)
//!        │                                                 │  holds, transfers, merchants: one
//!        │                                                 │  statement each, if a command needs them
//!        │                                                 ▼
//!        │                              4 decide           each command in order, in memory
//!        │                                                 │  refused: an answer, and no effect
//!        │                                                 ▼
//!        │                              5 write            transfers, entries, balances, answers
//!        │                                                 │  (1 statement, which is the transaction)
//!        │            6 answer                             ▼
//!        └─────────── renew the balance cache, once for the batch ◄── beside the next batch
//! ```
//!
//! | step | module |
//! |---|---|
//! | queue | [`queue`], and [`admission`]: the share of one account |
//! | batch | [`writer`], [`account_locks`] |
//! | read | [`load`], [`busy_accounts`] |
//! | decide | [`batch`], and `decide` in the domain |
//! | write | [`post`]: transaction and attempts; [`crate::store`]: the statements |
//! | answer | [`writer`], [`submission`] |
//!
//! # Why
//!
//! A commit and its round trips cost far more than the work in them. At 32 connections eight commands share a
//! transaction, and an earning over HTTP makes 2.25 times the throughput of pgbench with the textbook
//! transaction: 6,094 against 2,712 a second (`make bench-points`, docs/performance.md).
//!
//! * **One commit serves all commands that wait.** A writer takes whatever waits, be it one command; no command
//!   waits for a batch to fill. Two writers, because one commits while the other reads. One writer makes 6,240 a
//!   second where two make 7,378.
//! * **Nothing is locked between read and write**, so two statements suffice: a batch takes 1.5 ms with two round
//!   trips, and 2.2 ms with five. Every entry has a place in its account's history, and a place is unique, so the
//!   database refuses a batch that was decided from an old balance. Then the batch is locked, read and decided
//!   again ([`post`]).
//! * **Writers of one process never share an account**, because half of their batches would be refused.
//! * **The answer is recorded by the same statement**, into kit's table of idempotency keys.

mod account_locks;
mod admission;
mod batch;
mod busy_accounts;
mod load;
mod post;
mod queue;
mod submission;
mod writer;
mod writer_connection;

pub(crate) use submission::{Claim, LedgerAnswer, Submission};

use kit::Clock;
use sqlx::PgPool;

use self::account_locks::AccountLocks;
use self::post::Poster;
use self::queue::Queue;
use self::submission::Reply;
use crate::balance_cache::BalanceCache;
use crate::domain::IssuancePolicy;

/// With four writers the commits overlap less well.
const WRITERS: usize = 2;

/// A handle to the writers. They end when the last handle is gone and the queue is empty.
#[derive(Clone)]
pub(crate) struct Ledger {
    queue: Queue,
}

impl Ledger {
    pub(crate) fn start(
        db: PgPool,
        clock: Clock,
        policy: IssuancePolicy,
        balances: &BalanceCache,
    ) -> Self {
        writer::declare();
        let (queue, waiting) = Queue::new();
        let poster = Poster::new(db, clock, policy);
        let locks = AccountLocks::default();
        for _ in 0..WRITERS {
            let (poster, balances) = (poster.clone(), balances.clone());
            tokio::spawn(writer::run(poster, balances, waiting.clone(), locks.clone()));
        }
        Self { queue }
    }

    /// Waits for the command's turn and its commit, unless the queue is full.
    pub(crate) async fn submit(&self, submission: Submission) -> Reply {
        self.queue.submit(submission).await
    }
}
