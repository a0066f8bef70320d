//! The connection pool: timeouts, metrics, the slow-query log, and what a database error means.

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

/// How much longer than the server's own `statement_timeout` we wait, so that the server says it first
/// whenever it still can.
const GRACE: Duration = Duration::from_millis(500);

/// One process is one service, so what every statement needs to know is set once, by [`connect`],
/// rather than carried through every statement as an argument.
static PROCESS: OnceLock<Process> = OnceLock::new();

struct Process {
    service: &'static str,
    statement_timeout: Duration,
}

/// No statement may take longer as seen from here.
fn client_timeout() -> Duration {
    PROCESS.get().map_or(Duration::from_secs(2), |process| process.statement_timeout) + GRACE
}

/// Begins a transaction. Bounded on the client's side like [`query`].
///
/// A connection that died in the pool is noticed here, before anything was done: then another is taken.
pub async fn begin(pool: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    match query("begin", pool.begin()).await {
        Err(error) if contact::is_lost(&error) => query("begin", pool.begin()).await,
        begun => begun,
    }
}

/// Begins a transaction on a connection that one holds, with settings for it alone, in one round trip:
/// `BEGIN; SET LOCAL enable_seqscan = off`.
pub async fn begin_with<'c>(
    connection: &'c mut PgConnection,
    statement: &'static str,
) -> sqlx::Result<Transaction<'c, Postgres>> {
    query("begin", connection.begin_with(statement)).await
}

/// Commits a transaction. When the connection goes away meanwhile nobody can say whether it took effect: [`code`]
/// is `outcome_unknown`, and repeating the command with its idempotency key finds out.
pub async fn commit(tx: Transaction<'_, Postgres>) -> sqlx::Result<()> {
    query("commit", tx.commit()).await.map_err(during_commit)
}

/// Times one statement as `operation` (metrics, slow-query log) and bounds it on the client's side,
/// because a frozen server honors no `statement_timeout`.
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
        // The operation's name only: parameters are somebody's data.
        tracing::warn!(operation, duration_ms = took.as_secs_f64() * 1000.0, "slow query");
    }
    result
}

/// The number of an advisory lock, from a name that says what it is for. A collision (1 in 2^64) would
/// make two things wait for each other that need not.
pub(crate) fn lock_id(name: &[&str]) -> i64 {
    let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
    for part in name {
        hash.update(part.as_bytes());
        hash.update(&[0]);
    }
    let hash = hash.finish();
    hash.as_ref().iter().take(8).fold(0, |id, byte| id << 8 | i64::from(*byte))
}
