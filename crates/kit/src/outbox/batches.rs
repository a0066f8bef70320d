//! The relay for a consumer that takes many events at once: three statements for a batch of them, where
//! the other one needs three for each event. It parks no event, so its consumer may refuse none: one that
//! is refused holds back all that follow.

use std::collections::HashSet;

use observability::{Carrier, SpanKind, panics};
use sqlx::PgPool;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::attempt::DELIVERY_TIMEOUT;
use super::relay::{DELIVERED, ENDPOINT, OUTAGE_PAUSE, POLL, supervised};
use super::store::{self, Due};
use super::{DeliverAll, Event};
use crate::command;
use crate::postgres::Leader;

/// Events delivered at once, at most.
const BATCH: usize = 500;

/// Delivers committed events for ever, many at once, until `stop`; a delivery that has begun is not
/// cut off. A panic of its own starts it again.
pub async fn relay_batches(db: PgPool, deliver: impl DeliverAll, stop: CancellationToken) {
    supervised(&db, &stop, |leader| lead(leader, &db, &deliver, &stop)).await;
}

async fn lead(leader: Leader, db: &PgPool, deliver: &impl DeliverAll, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        let due = match leader.ask(async |db| store::due(db, &[], BATCH as i64).await).await {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "the outbox lost its leader");
                break;
            }
        };
        let full = due.len() == BATCH;
        let (positions, events) = settled(due);
        let delivered = match command::tracked(hand_over(db, deliver, &positions, &events)).await {
            Ok(delivered) => delivered,
            Err(error) => {
                // They will be delivered again: at least once is the promise.
                tracing::warn!(%error, events = events.len(), "deliveries could not be recorded");
                break;
            }
        };
        let pause = match (delivered, full && !positions.is_empty()) {
            (false, _) => OUTAGE_PAUSE,
            (true, true) => continue, // more of them wait
            (true, false) => POLL,
        };
        let _ = stop.run_until_cancelled(sleep(pause)).await;
    }
    leader.resign().await;
}

/// Delivers events and writes that down. False: they were not taken.
async fn hand_over(
    db: &PgPool,
    deliver: &impl DeliverAll,
    positions: &[i64],
    events: &[(Event, Carrier)],
) -> sqlx::Result<bool> {
    if events.is_empty() {
        return Ok(true);
    }
    let taken = attempt(deliver, events).await;
    if taken {
        store::delivered_all(db, positions).await?;
        DELIVERED.inc_by(positions.len() as u64);
    }
    Ok(taken)
}

/// The events that nothing can precede any more, up to the first of its aggregate that is not.
fn settled(due: Vec<Due>) -> (Vec<i64>, Vec<(Event, Carrier)>) {
    let mut unsettled: HashSet<String> = HashSet::new();
    due.into_iter()
        .filter(|due| {
            if !due.settled {
                unsettled.insert(due.event.aggregate.clone());
            }
            due.settled && !unsettled.contains(&due.event.aggregate)
        })
        .map(|due| (due.position, (due.event, due.carrier)))
        .unzip()
}

async fn attempt(deliver: &impl DeliverAll, events: &[(Event, Carrier)]) -> bool {
    let call = panics::catch(ENDPOINT, async { deliver.deliver_all(events).await });
    let carrier = Carrier::default();
    let call = carrier.scope("deliver events", SpanKind::Producer, call);
    match timeout(DELIVERY_TIMEOUT, call).await {
        Ok(Ok(Ok(()))) => return true,
        Ok(Ok(Err(error))) => {
            let error = format!("{error:#}");
            tracing::warn!(events = events.len(), error, "events not delivered");
        }
        Ok(Err(_)) => {} // the hook has logged it
        Err(_) => tracing::warn!(events = events.len(), "events not delivered in time"),
    }
    false
}
