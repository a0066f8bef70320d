//! Heartbeats of the alerting chain.

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;

/// The last heartbeat of a part of the alerting chain.
pub(crate) struct Heartbeat {
    pub(crate) source: String,
    pub(crate) heard_at: DateTime<Utc>,
}

/// Records a heartbeat, unless a later one is known.
pub(crate) async fn heard(
    conn: &mut PgConnection,
    source: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let upsert = sqlx::query!(
        "INSERT INTO heartbeat AS h (source, heard_at) VALUES ($1, $2)
         ON CONFLICT ON CONSTRAINT heartbeat_pk
         DO UPDATE SET heard_at = EXCLUDED.heard_at WHERE h.heard_at < EXCLUDED.heard_at",
        source,
        at,
    );
    postgres::query("heartbeat_heard", upsert.execute(conn)).await?;
    Ok(())
}

/// Records that the whole chain was alive at a time.
pub(crate) async fn watched(conn: &mut PgConnection, at: DateTime<Utc>) -> sqlx::Result<()> {
    let upsert = sqlx::query!(
        "INSERT INTO watched_day AS w (day, from_at, until_at) VALUES (($1 AT TIME ZONE 'UTC')::date, $1, $1)
         ON CONFLICT ON CONSTRAINT watched_day_pk
         DO UPDATE SET until_at = EXCLUDED.until_at WHERE w.until_at < EXCLUDED.until_at",
        at,
    );
    postgres::query("heartbeat_watched", upsert.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn all(conn: &mut PgConnection) -> sqlx::Result<Vec<Heartbeat>> {
    let select =
        sqlx::query_as!(Heartbeat, "SELECT source, heard_at FROM heartbeat ORDER BY source");
    postgres::query("heartbeat_all", select.fetch_all(conn)).await
}

/// Returns the starts of the firing alerts with this fingerprint.
pub(crate) async fn firing(
    conn: &mut PgConnection,
    fingerprint: &str,
) -> sqlx::Result<Vec<DateTime<Utc>>> {
    let select = sqlx::query_scalar!(
        "SELECT starts_at FROM alert WHERE fingerprint = $1 AND ends_at IS NULL",
        fingerprint,
    );
    postgres::query("heartbeat_firing", select.fetch_all(conn)).await
}
