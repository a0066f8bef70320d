//! An event is handled once, however often it is delivered.

use sqlx::PgConnection;
use uuid::Uuid;

/// True the first time `consumer` sees the event. Commits with the consumer's own effect.
pub async fn first_time(_tx: &mut PgConnection, _consumer: &str, _event: Uuid) -> sqlx::Result<bool> {
    todo!()
}
