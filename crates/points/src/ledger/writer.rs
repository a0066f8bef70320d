//! A writer: takes the commands that wait, posts them in one transaction, and answers.

use std::sync::LazyLock;
use std::time::Duration;

use observability::metrics::{self, Histogram, IntGauge};
use observability::panics;
use tokio::sync::mpsc::Receiver;
use tokio::sync::{MutexGuard, oneshot};
use tokio::time::timeout;

use super::account_locks::{AccountLocks, LockedAccounts};
use super::post::Poster;
use super::queue::{Job, Waiting};
use super::submission::{Posted, Reply};
use super::writer_connection::WriterConnection;
use crate::balance_cache::BalanceCache;

/// The most commands in one transaction: larger batches get slower, and not cheaper per command.
const BATCH: usize = 64;

/// The time that a writer without work keeps its connection.
const IDLE: Duration = Duration::from_millis(100);

static SIZES: LazyLock<Histogram> = LazyLock::new(|| {
    metrics::histogram(
        "points_batch_commands",
        "Commands that were committed together.",
        &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0],
    )
});
static WAITING: LazyLock<IntGauge> =
    LazyLock::new(|| metrics::gauge("points_queue_commands", "Commands that wait for a writer."));

/// Declares the metrics of the writers.
pub(super) fn declare() {
    LazyLock::force(&SIZES);
    LazyLock::force(&WAITING);
    panics::declare("ledger");
}

pub(super) async fn run(
    poster: Poster,
    balances: BalanceCache,
    queue: Waiting,
    locks: AccountLocks,
) {
    let mut jobs = Vec::with_capacity(BATCH);
    let mut connection = WriterConnection::default();
    loop {
        let mut waiting = match timeout(IDLE, take(&queue, &mut jobs)).await {
            Ok(waiting) => waiting,
            Err(_) => {
                connection.give_back();
                take(&queue, &mut jobs).await
            }
        };
        if jobs.is_empty() {
            connection.give_back();
            return;
        }
        let _locked = lock_accounts(&locks, &mut waiting, &mut jobs).await;
        WAITING.set(i64::try_from(waiting.len()).unwrap_or(i64::MAX));
        drop(waiting);
        #[expect(clippy::cast_precision_loss, reason = "at most 64")]
        SIZES.observe(jobs.len() as f64);
        let (batch, senders): (Vec<_>, Vec<_>) =
            jobs.drain(..).map(|job| (job.submission, job.reply)).unzip();
        let posted = panics::catch("ledger", poster.post(&mut connection, &batch)).await;
        // After a panic the senders are dropped, which the callers see.
        let Ok(replies) = posted else { continue };
        // Beside the next batch, which need not wait for it.
        tokio::spawn(answer(balances.clone(), senders, replies));
    }
}

/// Waits for commands, and takes them. The other writer takes none while this one has the queue.
async fn take<'a>(queue: &'a Waiting, jobs: &mut Vec<Job>) -> MutexGuard<'a, Receiver<Job>> {
    let mut queue = queue.lock().await;
    queue.recv_many(jobs, BATCH).await;
    queue
}

/// Locks the accounts of these commands. Commands that come while it waits join the batch.
async fn lock_accounts(
    locks: &AccountLocks,
    queue: &mut Receiver<Job>,
    jobs: &mut Vec<Job>,
) -> LockedAccounts {
    loop {
        if let Some(locked) = locks.lock(jobs.iter().map(|job| &job.submission.command)) {
            return locked;
        }
        locks.unlocked().await;
        while jobs.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
    }
}

/// Renews the cache for the whole batch and then answers, so that callers read their own writes.
async fn answer(balances: BalanceCache, senders: Vec<oneshot::Sender<Reply>>, replies: Vec<Reply>) {
    let posted = || replies.iter().flatten();
    for Posted { accounts, opened, .. } in posted() {
        for account in accounts.iter().filter(|account| *opened == Some(account.id)) {
            balances.opened(account.member, account.id).await;
        }
    }
    balances.renew(posted().flat_map(|posted| posted.accounts.clone())).await;
    for (sender, reply) in senders.into_iter().zip(replies) {
        let _ = sender.send(reply); // the caller is gone when the service stops
    }
}
