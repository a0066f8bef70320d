//! The connection pool: timeouts, metrics, the slow-query log, and the meaning of database errors.

mod contact;
mod failure;
mod incarnation;
mod leader;
mod pool;
mod schema;

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use observability::metrics::db;
use sqlx::{Connection as _, PgConnection, PgPool, Postgres, Transaction};

pub use failure::{class, code, constraint, during_commit, kind, outcome};
pub(crate) use incarnation::Incarnation;
pub(crate) use leader::{Candidate, Leader};
pub use pool::{connect, options, replica};
pub use schema::check as check_schema;

/// Time added to the server's `statement_timeout`, so that the server reports a timeout first if it can.
const GRACE: Duration = Duration::from_millis(500);

/// Values that every statement needs. One process is one service, so [`connect`] sets them once instead of
/// passing them to every statement.
static PROCESS: OnceLock<Process> = OnceLock::new();

struct Process {
    service: &'static str,
    statement_timeout: Duration,
}

/// Returns the client's time limit for a statement.
fn client_timeout() -> Duration {
    PROCESS.get().map_or(Duration::from_secs(2), |process| process.statement_timeout) + GRACE
}

/// Begins a transaction. Limited in time like [`query`].
///
/// A pooled connection that has died is noticed here, before anything was done, and is replaced.
pub async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    match query("begin", pool.begin()).await {
        Err(error) if contact::is_lost(&error) => query("begin", pool.begin()).await,
        begun => begun,
    }
}

/// Begins a transaction on a given connection, with settings for it alone, in one round trip: `BEGIN; SET
/// LOCAL enable_seqscan = off`.
pub async fn begin_with<'c>(
    connection: &'c mut PgConnection,
    statement: &'static str,
) -> sqlx::Result<Transaction<'c, Postgres>> {
    query("begin", connection.begin_with(statement)).await
}

/// Commits a transaction. If the connection is lost meanwhile, its effect is unknown: the error's code is
/// `outcome_unknown`, and a retry with the same idempotency key finds out.
pub async fn commit(tx: Transaction<'_, Postgres>) -> sqlx::Result<()> {
    query("commit", tx.commit()).await.map_err(during_commit)
}

/// Runs one statement as `operation`, for metrics and the slow-query log. Limits its time on the client's
/// side as well, because a frozen server does not enforce `statement_timeout`.
pub async fn query<T>(
    operation: &'static str,
    statement: impl Future<Output = sqlx::Result<T>>,
) -> sqlx::Result<T> {
    let started = Instant::now();
    let result = match tokio::time::timeout(client_timeout(), statement).await {
        Ok(result) => result,
        Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
    };
    contact::note(&result);
    let took = started.elapsed();
    let service = PROCESS.get().map_or("unset", |process| process.service);
    if db::statement(service, operation, took) {
        // Without parameters, which may be personal data.
        tracing::warn!(operation, duration_ms = took.as_secs_f64() * 1000.0, "slow query");
    }
    result
}

/// Returns the id of an advisory lock with this name. A collision (1 in 2^64) would only make two tasks wait
/// for each other.
pub(crate) fn lock_id(name: &[&str]) -> i64 {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    for part in name {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let hash = hash.finish();
    hash.as_ref().iter().take(8).fold(0, |id, byte| id << 8 | i64::from(*byte))
}
