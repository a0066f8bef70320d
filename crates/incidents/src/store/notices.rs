//! Messages that channels have accepted.

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::view::Told;

pub(crate) async fn was_sent(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<bool> {
    let select = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM notification WHERE notification_id = $1) AS "sent!""#,
        id,
    );
    postgres::query("notice_was_sent", select.fetch_one(conn)).await
}

pub(crate) async fn sent(
    conn: &mut PgConnection,
    id: Uuid,
    incident: Uuid,
    channel: &str,
    kind: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO notification (notification_id, incident_id, channel, kind, sent_at)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT ON CONSTRAINT notification_pk DO NOTHING",
        id,
        incident,
        channel,
        kind,
        now,
    );
    postgres::query("notice_sent", insert.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn of_incident(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<Told>> {
    let select = sqlx::query_as!(
        Told,
        "SELECT sent_at, channel, kind FROM notification
         WHERE incident_id = $1 ORDER BY sent_at, notification_id",
        id,
    );
    postgres::query("notice_of_incident", select.fetch_all(conn)).await
}
