//! How far the log has come.

use kit::postgres::query;
use sqlx::PgConnection;

use crate::domain::Position;

/// Behind everything that was committed up to now. On the primary.
pub(crate) async fn written_to(conn: &mut PgConnection) -> sqlx::Result<Position> {
    let select = sqlx::query_scalar!(
        r#"SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint AS "position!""#
    );
    query("written_to", select.fetch_one(conn)).await.map(Position::new)
}

/// Up to where a replica has everything; `None` from a server that follows nobody: it was promoted, or it
/// is somebody else.
pub(crate) async fn replayed_to(conn: &mut PgConnection) -> sqlx::Result<Option<Position>> {
    let select = sqlx::query_scalar!(
        "SELECT CASE WHEN pg_is_in_recovery()
                     THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END"
    );
    Ok(query("replayed_to", select.fetch_one(conn)).await?.map(Position::new))
}
