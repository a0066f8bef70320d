//! Deduplicates events: each consumer handles an event once, however often it is delivered.

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::postgres::query;

/// Records that `consumer` has seen an event, and returns true the first time. The record commits with the
/// consumer's own effect. A concurrent delivery of the same event waits for it.
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

/// Deletes records older than 30 days. An event parked for longer must not be delivered again.
pub async fn prune(db: &PgPool) -> sqlx::Result<u64> {
    let mut pruned = 0;
    loop {
        let batch = query(
            "inbox_prune",
            sqlx::query!(
                "DELETE FROM inbox_message WHERE ctid = ANY (ARRAY(
                     SELECT ctid FROM inbox_message
                     WHERE received_at < now() - interval '30 days' LIMIT 1000))"
            )
            .execute(db),
        )
        .await?
        .rows_affected();
        pruned += batch;
        if batch == 0 {
            return Ok(pruned);
        }
    }
}
