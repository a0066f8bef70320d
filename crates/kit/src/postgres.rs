//! The connection pool: timeouts, metrics, the slow-query log, and what a database error means.

use std::borrow::Cow;

use sqlx::PgPool;
use sqlx::migrate::Migrator;

use crate::error::Kind;

/// Connects, and refuses pending or dirty migrations with the command that cures them.
pub async fn connect(
    _config: &crate::config::Postgres,
    _service: &'static str,
    _schema: &Migrator,
) -> anyhow::Result<PgPool> {
    todo!()
}

/// Times one statement as `operation` (metrics, slow-query log) and bounds it on the client's side,
/// because a frozen server honours no `statement_timeout`.
pub async fn query<T>(
    _operation: &'static str,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    statement.await
}

/// What a database failure means to a client, for `Classify::kind`.
pub fn kind(_error: &sqlx::Error) -> Kind {
    todo!()
}

/// Its code, such as `database_unavailable`, for `Classify::code`.
pub fn code(_error: &sqlx::Error) -> Cow<'static, str> {
    todo!()
}

/// The name of the constraint that refused it, if one did.
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|e| e.constraint())
}
