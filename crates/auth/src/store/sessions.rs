//! Who is signed in. The database's clock says until when.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

pub(crate) async fn begin(
    tx: &mut PgConnection,
    id: Uuid,
    member: Uuid,
    now: DateTime<Utc>,
    expires_at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "INSERT INTO session (session_id, member_id, created_at, expires_at)
         VALUES ($1, $2, $3, $4)",
        id,
        member,
        now,
        expires_at,
    );
    query("session_begin", statement.execute(tx)).await.map(drop)
}

pub(crate) async fn is_active(
    conn: &mut PgConnection,
    id: Uuid,
    member: Uuid,
) -> sqlx::Result<bool> {
    let statement = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM session
               WHERE session_id = $1 AND member_id = $2 AND expires_at > now()
           ) AS "active!""#,
        id,
        member,
    );
    query("session_is_active", statement.fetch_one(conn)).await
}

pub(crate) async fn count_active(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let statement =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM session WHERE expires_at > now()"#);
    query("session_count", statement.fetch_one(conn)).await
}

/// Sessions that ended a day ago.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement = sqlx::query!("DELETE FROM session WHERE expires_at < now() - interval '1 day'");
    Ok(query("session_forget", statement.execute(conn)).await?.rows_affected())
}
