//! The state of the database as this process sees it: its pool, the last answer, and the last lost connection.
//!
//! A process has one server. After a lost connection the others may be dead too. After a recent answer the
//! server is available, and waiting for a connection means waiting for this process's own requests.

use std::io::ErrorKind;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use sqlx::PgPool;

/// The start of time measurement. Zero means that an event has not happened.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
static ANSWERED: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);

/// The pool of this process.
static POOL: ArcSwapOption<PgPool> = ArcSwapOption::const_empty();

/// Sets the pool of this process.
pub(super) fn set_pool(pool: &PgPool) {
    POOL.store(Some(pool.clone().into()));
}

/// Returns true when every connection of the pool is in use.
pub(super) fn is_exhausted() -> bool {
    POOL.load().as_ref().is_some_and(|pool| {
        pool.num_idle() == 0 && pool.size() >= pool.options().get_max_connections()
    })
}

/// Records the result of a statement.
pub(super) fn note<T>(result: &sqlx::Result<T>) {
    match result {
        Ok(_) => ANSWERED.store(now(), Ordering::Relaxed),
        Err(error) if is_lost(error) => LOST.store(now(), Ordering::Relaxed),
        Err(sqlx::Error::Database(_)) => ANSWERED.store(now(), Ordering::Relaxed),
        Err(_) => {}
    }
}

/// Returns true when the server has answered within `period`.
pub(super) fn answered_within(period: Duration) -> bool {
    is_within(&ANSWERED, period)
}

/// Returns true when a connection was lost within `period`.
pub(super) fn lost_within(period: Duration) -> bool {
    is_within(&LOST, period)
}

/// Returns true when the connection is lost.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() != ErrorKind::TimedOut,
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => true,
        // The server ends this session or all sessions.
        sqlx::Error::Database(error) => error.code().is_some_and(|code| code.starts_with("57P")),
        _ => false,
    }
}

fn is_within(event: &AtomicU64, period: Duration) -> bool {
    let at = event.load(Ordering::Relaxed);
    at > 0 && now().saturating_sub(at) <= period.as_micros().try_into().unwrap_or(u64::MAX)
}

fn now() -> u64 {
    u64::try_from(BEGAN.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
}
