//! An event is handled once, however often it is delivered.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::postgres::query;

/// True the first time `consumer` sees the event. Commits with the consumer's own effect; a twin that
/// is still being handled is waited for.
pub async fn first_time(tx: &mut PgConnection, consumer: &str, event: Uuid) -> sqlx::Result<bool> {
    let inserted = query(
        "inbox_record",
        sqlx::query!(
            "INSERT INTO inbox_message (consumer, event_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            consumer,
            event
        )
        .execute(tx),
    )
    .await?;
    Ok(inserted.rows_affected() == 1)
}
