//! Positions in the write-ahead log.

use kit::postgres::query;
use sqlx::PgConnection;

use crate::domain::Position;

/// Returns the position behind everything that the primary has committed.
pub(crate) async fn written_to(conn: &mut PgConnection) -> sqlx::Result<Position> {
    let select = sqlx::query_scalar!(
        r#"SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint AS "position!""#
    );
    query("written_to", select.fetch_one(conn)).await.map(Position::new)
}

/// Returns the position up to which a replica has everything; `None` when the server is not a replica, or was
/// promoted.
pub(crate) async fn replayed_to(conn: &mut PgConnection) -> sqlx::Result<Option<Position>> {
    let select = sqlx::query_scalar!(
        "SELECT CASE WHEN pg_is_in_recovery()
                     THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END"
    );
    Ok(query("replayed_to", select.fetch_one(conn)).await?.map(Position::new))
}
