//! The relay: one replica leads, reads committed events in order, and delivers them, several
//! aggregates at a time. No transaction is open meanwhile.
//!
//! One leader, and not leases per event: a single reader keeps the order of an aggregate without
//! further locks, a dead leader's lock is gone with its connection, and delivery waits for the network,
//! not for a processor, so one process is enough.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use observability::metrics::{self, IntCounter, IntGauge};
use observability::task;
use sqlx::PgPool;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::attempt::{Failure, attempt};
use super::reception::Reception;
use super::store::{self, Due};
use super::{Deliver, Event};
use crate::command;
use crate::postgres::{Candidate, Leader};

/// How long an event may wait before anybody looks. A poll of an empty outbox reads one index page, so
/// this is simpler than LISTEN, and cannot miss a call.
pub(super) const POLL: Duration = Duration::from_millis(100);

/// How often a replica that does not lead looks whether it may.
const ELECTION_PERIOD: Duration = Duration::from_millis(500);

const GAUGE_PERIOD: Duration = Duration::from_secs(2);

/// Aggregates delivered at the same time: half the connections of the pool.
const CONCURRENCY: usize = 8;

/// An event that failed this often, while its consumer took others, is poison.
const MAX_ATTEMPTS: i32 = 10;

const FIRST_PAUSE: Duration = Duration::from_millis(200);
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Between tries while the consumer is away. Short, so that a backlog drains as soon as it is back.
pub(super) const OUTAGE_PAUSE: Duration = Duration::from_secs(1);

static PENDING: LazyLock<IntGauge> =
    LazyLock::new(|| metrics::gauge("outbox_pending", "Events not delivered yet, nor parked."));
static OLDEST_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge("outbox_oldest_age_seconds", "Age of the oldest event not delivered yet.")
});
/// A gauge beside the counter, so that the alert ends when the last one has been dealt with.
static PARKED_NOW: LazyLock<IntGauge> =
    LazyLock::new(|| metrics::gauge("outbox_parked", "Events that wait for a person to look."));
static PARKED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::counter("outbox_parked_total", "Events given up on until a person has looked.")
});
pub(super) static DELIVERED: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::counter("outbox_delivered_total", "Events delivered."));

/// What panics in a `Deliver`, and of the relay itself, are counted under.
pub(super) const ENDPOINT: &str = "outbox";

/// Delivers committed events for ever, until `stop`; deliveries that have begun are not cut off. A panic of its
/// own starts it again.
pub async fn relay(db: PgPool, deliver: impl Deliver, stop: CancellationToken) {
    let deliver = Arc::new(deliver);
    supervised(&db, &stop, |leader| lead(leader, &db, &deliver, &stop)).await;
}

/// What both relays do around delivering: `lead` does that while we have the leader's lock.
pub(super) async fn supervised<F: Future<Output = ()>>(
    db: &PgPool,
    stop: &CancellationToken,
    lead: impl Fn(Leader) -> F,
) {
    LazyLock::force(&PARKED);
    LazyLock::force(&DELIVERED);
    let relay = || async {
        tokio::join!(campaign(db, stop, &lead), measure(db, stop));
        Ok(())
    };
    task::supervise(ENDPOINT, stop.clone(), relay).await;
}

async fn campaign<F: Future<Output = ()>>(
    db: &PgPool,
    stop: &CancellationToken,
    lead: impl Fn(Leader) -> F,
) {
    let candidate = Candidate::new(db, &["outbox"]);
    while !stop.is_cancelled() {
        match candidate.elect().await {
            Ok(Some(leader)) => lead(leader).await,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "no leader election for the outbox"),
        }
        let _ = stop.run_until_cancelled(sleep(ELECTION_PERIOD)).await;
    }
}

/// Every replica measures, so that a backlog is seen when nobody leads.
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
    // Ends with the leadership, so that no delivery begins after it.
    let leading = stop.child_token();
    let reception = Arc::new(Reception::default());
    let mut running = JoinSet::new();
    let mut queue = VecDeque::new();
    let mut busy = HashSet::new();
    while !leading.is_cancelled() {
        let mut pause = POLL;
        let led = if queue.is_empty() && running.len() < CONCURRENCY {
            let asked = Instant::now();
            let except: Vec<String> = busy.iter().cloned().collect();
            let due = leader.ask(async |db| store::due(db, &except, store::BATCH).await).await;
            // A long way through events that are held back is not gone ten times a second.
            pause = pause.max(asked.elapsed() * 4);
            due.map(|due| queue.extend(by_aggregate(due)))
        } else {
            leader.confirm().await
        };
        if let Err(error) = led {
            tracing::warn!(%error, "the outbox lost its leader");
            break;
        }
        // Confirmed just now, and again before the next ones.
        while running.len() < CONCURRENCY
            && let Some((aggregate, events)) = queue.pop_front()
        {
            busy.insert(aggregate.clone());
            let (db, deliver, leading) = (db.clone(), Arc::clone(deliver), leading.clone());
            let reception = Arc::clone(&reception);
            running.spawn(async move {
                in_order(&db, &*deliver, events, &reception, &leading).await;
                aggregate
            });
        }
        tokio::select! {
            () = stop.cancelled() => {}
            Some(done) = running.join_next() => match done {
                Ok(aggregate) => { busy.remove(&aggregate); }
                Err(error) => tracing::error!(%error, "a delivery task died"),
            },
            () = sleep(pause) => {}
        }
    }
    leading.cancel();
    while running.join_next().await.is_some() {}
    leader.resign().await;
}

/// The settled head of each aggregate, in order.
fn by_aggregate(due: Vec<Due>) -> Vec<(String, Vec<Due>)> {
    let mut groups: Vec<(String, Vec<Due>)> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut unsettled: HashSet<String> = HashSet::new();
    for due in due {
        let aggregate = due.event.aggregate.clone();
        if !due.settled {
            unsettled.insert(aggregate);
        } else if !unsettled.contains(&aggregate) {
            let group = *index.entry(aggregate.clone()).or_insert_with(|| {
                groups.push((aggregate, Vec::new()));
                groups.len() - 1
            });
            groups[group].1.push(due);
        }
    }
    groups
}

/// Delivers the events of one aggregate, up to the first that fails.
async fn in_order<D: Deliver>(
    db: &PgPool,
    deliver: &D,
    events: Vec<Due>,
    reception: &Reception,
    leading: &CancellationToken,
) {
    for due in events {
        if leading.is_cancelled()
            || !command::tracked(hand_over(db, deliver, &due, reception)).await
        {
            return;
        }
    }
}

/// Delivers one event and writes down how that went. Whether the next one may follow.
async fn hand_over<D: Deliver>(db: &PgPool, deliver: &D, due: &Due, reception: &Reception) -> bool {
    let outcome = attempt(deliver, due).await;
    let recorded = match &outcome {
        Ok(()) => {
            DELIVERED.inc();
            reception.taken(due);
            store::delivered(db, due.position).await
        }
        Err(failure) => record(db, due, failure, reception).await,
    };
    if let Err(error) = &recorded {
        // It will be delivered again: at least once is the promise.
        tracing::warn!(event = %due.event.id, %error, "a delivery could not be recorded");
    }
    outcome.is_ok() && recorded.is_ok()
}

async fn record(
    db: &PgPool,
    due: &Due,
    failure: &Failure,
    reception: &Reception,
) -> sqlx::Result<()> {
    let why = failure.name();
    let jitter = rand::random_range(0.5..1.5);
    let outage = match failure {
        Failure::Outage => Some(OUTAGE_PAUSE),
        Failure::Refused => None,
        Failure::Broken | Failure::Panicked => reception.failed(due),
    };
    if let Some(pause) = outage {
        // Marked as failed, so that its aggregate waits, without using up its attempts.
        let pause = pause.mul_f64(jitter);
        return store::failed(db, due.position, due.attempts.max(1), why, pause).await;
    }
    let attempts = due.attempts + 1;
    if attempts >= MAX_ATTEMPTS {
        let Event { id, kind, .. } = &due.event;
        store::parked(db, due.position, attempts, why).await?;
        reception.parked(due);
        PARKED.inc();
        tracing::error!(event = %id, kind, attempts, why, "event parked");
        return Ok(());
    }
    let doublings = u32::try_from(attempts - 1).unwrap_or(0);
    let pause = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(doublings)).min(MAX_PAUSE);
    store::failed(db, due.position, attempts, why, pause.mul_f64(jitter)).await
}
