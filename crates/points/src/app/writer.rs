//! The batching writer: commands that arrive together commit together.
//!
//! A commit costs far more than a command, so one commit serves all commands that are waiting. Nobody
//! waits for a batch to fill: a writer that is free takes what is there, be it one command. Two
//! writers, because one commits while the other reads; with four the commits overlap less well.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use observability::metrics::{self, Histogram, IntGauge};
use observability::panics;
use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::{Mutex, MutexGuard, oneshot};
use tokio::time::timeout;

use super::Error;
use super::apart::{Hands, InHand};
use super::balance::Balances;
use super::fair::{Shares, Turn};
use super::held::Held;
use super::ledger::{Ledger, Posted, Verdict, Work};

const WRITERS: usize = 2;

/// Commands in one transaction, at most: beyond it a batch gets slower, and not cheaper per command.
const BATCH: usize = 64;

/// Commands that may wait. Some 100 ms of work: who comes later is better told at once.
const QUEUE: usize = 1_024;

/// Of them, how many may be for one account: whoever floods one leaves room for all others.
const SHARE: usize = QUEUE / 2;

/// How long a writer without work keeps its connection.
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

/// A handle to the writers. They end when the last handle is gone and the queue is empty.
#[derive(Clone)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Job>,
    shares: Shares,
}

struct Job {
    work: Work,
    reply: oneshot::Sender<Verdict>,
    /// Until a writer takes the command.
    _turn: Turn,
}

type Queue = Arc<Mutex<Receiver<Job>>>;

impl Writer {
    pub(super) fn start(ledger: &Ledger, balances: &Balances) -> Self {
        LazyLock::force(&SIZES);
        LazyLock::force(&WAITING);
        panics::declare("ledger");
        let (sender, receiver) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(receiver));
        let hands = Hands::default();
        for _ in 0..WRITERS {
            let queue = Arc::clone(&queue);
            tokio::spawn(write(ledger.clone(), balances.clone(), queue, hands.clone()));
        }
        Self { queue: sender, shares: Shares::new(SHARE) }
    }

    /// Waits for the command's turn and its commit, unless too many wait already.
    pub(crate) async fn submit(&self, work: Work) -> Verdict {
        let (reply, verdict) = oneshot::channel();
        let turn = self.shares.enter(&work.command).ok_or(Error::Overloaded)?;
        self.queue.try_send(Job { work, reply, _turn: turn }).map_err(|_| Error::Overloaded)?;
        verdict.await.map_err(|_| Error::Panicked)?
    }
}

async fn write(ledger: Ledger, balances: Balances, queue: Queue, hands: Hands) {
    let mut jobs = Vec::with_capacity(BATCH);
    let mut held = Held::default();
    loop {
        let mut waiting = match timeout(IDLE, take(&queue, &mut jobs)).await {
            Ok(waiting) => waiting,
            Err(_) => {
                held.give_back();
                take(&queue, &mut jobs).await
            }
        };
        if jobs.is_empty() {
            held.give_back();
            return;
        }
        let _in_hand = apart(&hands, &mut waiting, &mut jobs).await;
        WAITING.set(i64::try_from(waiting.len()).unwrap_or(i64::MAX));
        drop(waiting);
        #[expect(clippy::cast_precision_loss, reason = "at most 64")]
        SIZES.observe(jobs.len() as f64);
        let (works, replies): (Vec<_>, Vec<_>) =
            jobs.drain(..).map(|job| (job.work, job.reply)).unzip();
        // A panic is answered by dropping the replies.
        let Ok(verdicts) = panics::catch("ledger", ledger.post(&mut held, &works)).await else {
            continue;
        };
        // Beside the next batch, which need not wait for it.
        tokio::spawn(answer(balances.clone(), replies, verdicts));
    }
}

/// Waits for commands, and takes those that are there. No other writer takes any while the queue is held.
async fn take<'a>(queue: &'a Queue, jobs: &mut Vec<Job>) -> MutexGuard<'a, Receiver<Job>> {
    let mut queue = queue.lock().await;
    queue.recv_many(jobs, BATCH).await;
    queue
}

/// Waits until no other writer has an account of these commands; those that come meanwhile join them.
async fn apart(hands: &Hands, queue: &mut Receiver<Job>, jobs: &mut Vec<Job>) -> InHand {
    loop {
        if let Some(in_hand) = hands.take(jobs.iter().map(|job| &job.work.command)) {
            return in_hand;
        }
        hands.freed().await;
        while jobs.len() < BATCH
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
    }
}

/// Renews the cache for the whole batch at once, so that whoever is answered reads their own write.
async fn answer(
    balances: Balances,
    replies: Vec<oneshot::Sender<Verdict>>,
    verdicts: Vec<Verdict>,
) {
    let posted = || verdicts.iter().flatten();
    for Posted { accounts, opened, .. } in posted() {
        for account in accounts.iter().filter(|account| *opened == Some(account.id)) {
            balances.opened(account.member, account.id).await;
        }
    }
    balances.renew(posted().flat_map(|posted| posted.accounts.clone())).await;
    for (reply, verdict) in replies.into_iter().zip(verdicts) {
        let _ = reply.send(verdict); // nobody waits when the service is going down
    }
}
