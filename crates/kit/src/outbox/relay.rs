//! The relay: one replica leads, reads committed events in order, and delivers several aggregates at a time.
//! No transaction is open during a delivery.
//!
//! One leader instead of leases per event: a single reader keeps the order of an aggregate without further
//! locks, a dead leader's lock ends with its connection, and delivery waits for the network rather than for a
//! processor, so one process is enough.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use observability::metrics::{self, IntCounter, IntGauge};
use observability::task;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::attempt::{ENDPOINT, Failure, attempt};
use super::queue::{POLL, Queue};
use super::results::{Results, Verdict};
use super::store::{self, Due, Turn};
use super::{Deliver, Event};
use crate::command;
use crate::postgres::{Candidate, Leader};

/// Time between two attempts of a replica to become the leader.
const ELECTION_PERIOD: Duration = Duration::from_millis(500);

const GAUGE_PERIOD: Duration = Duration::from_secs(2);

/// Aggregates delivered at the same time: half the connections of the pool.
const CONCURRENCY: usize = 8;

/// The share of [`CONCURRENCY`] for events that have failed: a consumer that does not answer takes at most
/// half of the relay's time.
const FAILED_AT_ONCE: usize = CONCURRENCY / 2;

static PENDING: LazyLock<IntGauge> =
    LazyLock::new(|| metrics::gauge("outbox_pending", "Events not yet delivered and not parked."));
static OLDEST_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge("outbox_oldest_age_seconds", "Age of the oldest event not yet delivered.")
});
/// A gauge as well as a counter, so that the alert ends when no event is parked any more.
static PARKED_NOW: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge("outbox_parked", "Events that failed too often and wait for an operator.")
});
static PARKED: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::counter("outbox_parked_total", "Events parked for an operator."));
static DELIVERED: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::counter("outbox_delivered_total", "Events delivered."));

/// Delivers committed events until `stop`, and finishes deliveries in flight. Restarts after a panic.
pub async fn relay(db: PgPool, deliver: impl Deliver, stop: CancellationToken) {
    let deliver = Arc::new(deliver);
    LazyLock::force(&PARKED);
    LazyLock::force(&DELIVERED);
    let relay = || async {
        tokio::join!(campaign(&db, &deliver, &stop), measure(&db, &stop));
        Ok(())
    };
    task::supervise(ENDPOINT, stop.clone(), relay).await;
}

async fn campaign<D: Deliver>(db: &PgPool, deliver: &Arc<D>, stop: &CancellationToken) {
    let candidate = Candidate::new(db, &["outbox"]);
    while !stop.is_cancelled() {
        match candidate.elect().await {
            Ok(Some(leader)) => lead(leader, db, deliver, stop).await,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "no leader election for the outbox"),
        }
        let _ = stop.run_until_cancelled(sleep(ELECTION_PERIOD)).await;
    }
}

/// Every replica measures, so that a backlog is visible without a leader.
async fn measure(db: &PgPool, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        if let Ok(backlog) = store::backlog(db).await {
            PENDING.set(backlog.pending);
            OLDEST_AGE.set(backlog.oldest_age_seconds);
            PARKED_NOW.set(backlog.parked);
        }
        let _ = stop.run_until_cancelled(sleep(GAUGE_PERIOD)).await;
    }
}

async fn lead<D: Deliver>(leader: Leader, db: &PgPool, deliver: &Arc<D>, stop: &CancellationToken) {
    // Canceled with the leadership, so that no delivery begins after it.
    let leading = stop.child_token();
    let results = Arc::new(Results::default());
    let mut running = JoinSet::new();
    // In this order, so that failed events get their half even when there are always new ones.
    let mut queues = [Queue::new(Turn::Failed, FAILED_AT_ONCE), Queue::new(Turn::New, CONCURRENCY)];
    while !leading.is_cancelled() {
        let led = refill(&leader, &mut queues).await;
        if let Err(error) = led {
            tracing::warn!(%error, "the outbox lost its leader");
            break;
        }
        // Leadership was confirmed just now, and is confirmed again before the next events.
        while running.len() < CONCURRENCY
            && let Some((turn, aggregate, events)) = queues.iter_mut().find_map(Queue::next)
        {
            let (db, deliver, leading) = (db.clone(), Arc::clone(deliver), leading.clone());
            let results = Arc::clone(&results);
            running.spawn(async move {
                deliver_in_order(&db, &*deliver, events, &results, &leading).await;
                (turn, aggregate)
            });
        }
        tokio::select! {
            () = stop.cancelled() => {}
            Some(done) = running.join_next() => match done {
                Ok((turn, aggregate)) => {
                    queues.iter_mut().filter(|queue| queue.turn == turn).for_each(|queue| {
                        queue.busy.remove(&aggregate);
                    });
                }
                Err(error) => tracing::error!(%error, "a delivery task died"),
            },
            () = sleep(POLL) => {}
        }
    }
    leading.cancel();
    while running.join_next().await.is_some() {}
    leader.resign().await;
}
/// Reads due events, or confirms leadership. Fails when leadership was lost.
async fn refill(leader: &Leader, queues: &mut [Queue]) -> sqlx::Result<()> {
    let mut asked = false;
    for at in 0..queues.len() {
        let except: Vec<_> = queues.iter().flat_map(Queue::aggregates).cloned().collect();
        asked |= queues[at].refill(leader, &except).await?;
    }
    if asked { Ok(()) } else { leader.confirm().await }
}

/// Delivers the events of one aggregate, up to the first failure.
async fn deliver_in_order<D: Deliver>(
    db: &PgPool,
    deliver: &D,
    events: Vec<Due>,
    results: &Results,
    leading: &CancellationToken,
) {
    for due in events {
        if leading.is_cancelled()
            || !command::tracked(deliver_one(db, deliver, &due, results)).await
        {
            return;
        }
    }
}

/// Delivers one event and records the result. Returns true when the next one may follow.
async fn deliver_one<D: Deliver>(db: &PgPool, deliver: &D, due: &Due, results: &Results) -> bool {
    let outcome = attempt(deliver, due).await;
    let recorded = match &outcome {
        Ok(()) => {
            DELIVERED.inc();
            results.accepted(due);
            store::delivered(db, due.position).await
        }
        Err(failure) => record(db, due, *failure, results).await,
    };
    if let Err(error) = &recorded {
        // The event will be delivered again: delivery is at least once.
        tracing::warn!(event = %due.event.id, %error, "a delivery could not be recorded");
    }
    outcome.is_ok() && recorded.is_ok()
}

async fn record(db: &PgPool, due: &Due, failure: Failure, results: &Results) -> sqlx::Result<()> {
    let why = failure.name();
    match results.failed(due, failure, Instant::now()) {
        // Marked as failed, so that its aggregate waits.
        Verdict::Retry(attempts, pause) => {
            let pause = pause.mul_f64(rand::random_range(0.5..1.5));
            store::failed(db, due.position, attempts, why, pause).await
        }
        Verdict::Park(attempts) => {
            let Event { id, kind, .. } = &due.event;
            store::parked(db, due.position, attempts, why).await?;
            PARKED.inc();
            tracing::error!(event = %id, kind, attempts, why, "event parked");
            Ok(())
        }
    }
}
