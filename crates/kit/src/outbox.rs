//! Events leave through the outbox: written in the business transaction, delivered by the relay.

mod attempt;
mod queue;
mod reception;
mod relay;
mod store;

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

pub use relay::relay;
pub use store::prune;

/// An event: something that happened. `id` is stable across retries: consumers deduplicate by it.
#[derive(Clone)]
pub struct Event {
    pub id: Uuid,
    /// Events of one aggregate are delivered in order.
    pub aggregate: String,
    /// Such as `booking.completed`.
    pub kind: String,
    pub payload: serde_json::Value,
    pub occurred_at: DateTime<Utc>,
}

/// Without the payload, which may be about a person.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut event = f.debug_struct("Event");
        event.field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Adds the event to the business transaction, with the current trace context.
///
/// Events of one aggregate are ordered by publication. That is the order of their commits when the
/// transaction holds a lock on the aggregate while it publishes, as one that changes it does.
pub async fn publish(tx: &mut PgConnection, event: &Event) -> sqlx::Result<()> {
    store::insert(tx, event).await
}

/// A consumer that takes one event at a time, outside of any transaction. It is given 10 s; an error or a panic
/// means: try again later. It may see an event twice, and tells by its id.
pub trait Deliver: Send + Sync + 'static {
    fn deliver(&self, event: &Event) -> impl Future<Output = anyhow::Result<()>> + Send;
}
