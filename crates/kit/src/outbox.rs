//! Events leave through the outbox: written in the business transaction, delivered by the relay.

use chrono::{DateTime, Utc};
use observability::Carrier;
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::postgres::query;

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
///
/// Events of one aggregate are ordered by publication. That is the order of their commits when the
/// transaction holds a lock on the aggregate while it publishes, as one that changes it does.
pub async fn publish(tx: &mut PgConnection, event: &Event) -> sqlx::Result<()> {
    let carrier = serde_json::to_value(Carrier::current()).unwrap_or_default();
    query(
        "outbox_publish",
        sqlx::query!(
            "INSERT INTO outbox_event (id, aggregate, kind, payload, carrier, occurred_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            event.id,
            event.aggregate,
            event.kind,
            event.payload,
            carrier,
            event.occurred_at
        )
        .execute(tx),
    )
    .await?;
    Ok(())
}

/// Delivers one event. An error or a panic means: try again later.
pub trait Deliver: Send + Sync + 'static {
    fn deliver(&self, event: &Event) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// Delivers committed events for ever, until `stop`.
pub async fn relay(_db: PgPool, _deliver: impl Deliver, _stop: CancellationToken) {
    todo!()
}
