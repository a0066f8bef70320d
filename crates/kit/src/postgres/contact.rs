//! The moments when the server last answered this process, and when it last lost a connection.
//!
//! One process has one server. A connection that was lost says that the others may be dead too; an answer says that
//! whoever waits in vain for a connection waits for others of ours, and not for a server that is away.

use std::io::ErrorKind;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Before everything that is measured here. Zero microseconds later nothing has happened yet.
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
static ANSWERED: AtomicU64 = AtomicU64::new(0);
static LOST: AtomicU64 = AtomicU64::new(0);

/// Remembers how a statement went.
pub(super) fn note<T>(result: &sqlx::Result<T>) {
    match result {
        Ok(_) => ANSWERED.store(now(), Ordering::Relaxed),
        Err(error) if is_lost(error) => LOST.store(now(), Ordering::Relaxed),
        Err(sqlx::Error::Database(_)) => ANSWERED.store(now(), Ordering::Relaxed),
        Err(_) => {}
    }
}

/// True if the server has answered this process since then.
pub(super) fn answered_within(period: Duration) -> bool {
    is_within(&ANSWERED, period)
}

/// True if a connection of this process was lost since then.
pub(super) fn lost_within(period: Duration) -> bool {
    is_within(&LOST, period)
}

/// True if the connection is gone: the statement cannot have been answered on it.
pub(super) fn is_lost(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() != ErrorKind::TimedOut,
        sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed => true,
        // The server ends the session, or all of them.
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
