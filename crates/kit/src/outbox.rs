//! The transactional outbox: events are written in the business transaction and delivered by the relay.

mod attempt;
mod queue;
mod relay;
mod results;
mod store;

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

pub use relay::relay;
pub use store::prune;

/// An event. `id` is stable across retries, so that consumers can deduplicate.
#[derive(Clone)]
pub struct Event {
    pub id: Uuid,
    /// Events of one aggregate are delivered in order.
    pub aggregate: String,
    /// The kind of event, such as `booking.completed`.
    pub kind: String,
    pub payload: serde_json::Value,
    pub occurred_at: DateTime<Utc>,
}

/// Omits the payload, which may contain personal data.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut event = f.debug_struct("Event");
        event.field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Adds an event to the business transaction, with the current trace context.
///
/// Events of one aggregate are delivered in the order of publication. That is also the order of commits if
/// the transaction locks the aggregate before it publishes.
pub async fn publish(tx: &mut PgConnection, event: &Event) -> sqlx::Result<()> {
    store::insert(tx, event).await
}

/// A consumer of events, called outside of any transaction. It has 10 s; an error or a panic leads to a
/// retry. It may get an event twice and must deduplicate by id.
pub trait Deliver: Send + Sync + 'static {
    fn deliver(&self, event: &Event) -> impl Future<Output = anyhow::Result<()>> + Send;
}
