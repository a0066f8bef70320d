//! Events leave through the outbox: written in the business transaction, delivered by the relay.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Something that happened. `id` is stable across retries: consumers deduplicate by it.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: Uuid,
    /// Events of one aggregate are delivered in order.
    pub aggregate: String,
    /// Such as `booking.completed`.
    pub kind: String,
    pub payload: serde_json::Value,
    pub occurred_at: DateTime<Utc>,
}

/// Adds the event to the business transaction, with the current trace context.
pub async fn publish(_tx: &mut PgConnection, _event: &Event) -> sqlx::Result<()> {
    todo!()
}

/// Delivers one event. An error or a panic means: try again later.
pub trait Deliver: Send + Sync + 'static {
    fn deliver(&self, event: &Event) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Delivers committed events for ever, until `stop`.
pub async fn relay(_db: PgPool, _deliver: impl Deliver, _stop: CancellationToken) {
    todo!()
}
