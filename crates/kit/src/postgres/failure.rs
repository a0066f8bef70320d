//! Classification of database failures.

use std::borrow::Cow;
use std::time::Duration;
use std::{fmt, io};

use super::contact;
use crate::error::{Class, Kind, Outcome};

/// Time within which an available server has answered some request of this process. Shorter than the wait for
/// a connection.
const LATELY: Duration = Duration::from_millis(300);

/// A class of failure that clients can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// The server is unavailable, refuses connections or is frozen. Nothing was done, or it was rolled back.
    Unavailable,
    /// A timeout passed, or a deadlock was resolved. Nothing was done.
    Busy,
    /// All connections of this process or of the server (53300) are in use. Nothing was done.
    Overloaded,
    /// The connection broke during COMMIT.
    OutcomeUnknown,
    /// A bug of ours.
    Internal,
}

/// Returns the class of a database failure, for the row of an error that wraps it.
pub fn class(error: &sqlx::Error) -> Class {
    kind(error).code(code(error)).outcome(outcome(error))
}

/// Returns the kind of a database failure.
pub fn kind(error: &sqlx::Error) -> Kind {
    match classify(error) {
        Failure::Unavailable | Failure::Busy | Failure::Overloaded | Failure::OutcomeUnknown => {
            Kind::Unavailable
        }
        Failure::Internal => Kind::Internal,
    }
}

/// Returns the code of a database failure, such as `database_unavailable`.
pub fn code(error: &sqlx::Error) -> Cow<'static, str> {
    Cow::Borrowed(match classify(error) {
        Failure::Unavailable => "database_unavailable",
        Failure::Busy => "database_busy",
        Failure::Overloaded => "overloaded",
        Failure::OutcomeUnknown => "outcome_unknown",
        Failure::Internal => "internal_error",
    })
}

/// Returns `Unknown` when the transaction may have taken effect. It describes a command only if that is one
/// transaction.
pub fn outcome(error: &sqlx::Error) -> Outcome {
    match classify(error) {
        Failure::Busy | Failure::Overloaded => Outcome::None,
        Failure::Unavailable | Failure::OutcomeUnknown | Failure::Internal => Outcome::Unknown,
    }
}

/// Returns the name of the violated constraint, if any.
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    error.as_database_error().and_then(|e| e.constraint())
}

fn classify(error: &sqlx::Error) -> Failure {
    match error {
        sqlx::Error::Io(e) if e.get_ref().is_some_and(|inner| inner.is::<CommitInterrupted>()) => {
            Failure::OutcomeUnknown
        }
        // sqlx reports the same error when the server is unavailable, when it gives no more connections, and
        // when all of ours are in use.
        sqlx::Error::PoolTimedOut
            if contact::is_exhausted() || contact::answered_within(LATELY) =>
        {
            Failure::Overloaded
        }
        sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => Failure::Unavailable,
        sqlx::Error::Database(e) => by_sqlstate(e.code().as_deref().unwrap_or_default()),
        _ => Failure::Internal,
    }
}

/// <https://www.postgresql.org/docs/15/errcodes-appendix.html>
fn by_sqlstate(code: &str) -> Failure {
    match code {
        // statement_timeout, lock_timeout, serialization_failure, deadlock_detected
        "57014" | "55P03" | "40001" | "40P01" => Failure::Busy,
        // admin_shutdown, crash_shutdown, cannot_connect_now, read_only_sql_transaction,
        // idle_in_transaction_session_timeout, transaction_timeout
        "57P01" | "57P02" | "57P03" | "25006" | "25P03" | "25P04" => Failure::Unavailable,
        // too_many_connections: by the server's limit, the database's or the role's
        "53300" => Failure::Overloaded,
        // connection exceptions; out of disk or memory
        _ if code.starts_with("08") || code.starts_with("53") => Failure::Unavailable,
        _ => Failure::Internal,
    }
}

/// Marks an error that came instead of the answer to COMMIT, or to a statement that is its own transaction:
/// its effect is unknown.
pub fn during_commit(error: sqlx::Error) -> sqlx::Error {
    let in_doubt = match &error {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        // The server closed the session; it may have done so just after the commit.
        sqlx::Error::Database(e) => {
            e.code().is_some_and(|code| code.starts_with("57P") || code.starts_with("08"))
        }
        _ => false,
    };
    if in_doubt { sqlx::Error::Io(io::Error::other(CommitInterrupted(error))) } else { error }
}

#[derive(Debug)]
struct CommitInterrupted(sqlx::Error);

impl fmt::Display for CommitInterrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection was lost during COMMIT; the outcome is unknown")
    }
}

impl std::error::Error for CommitInterrupted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}
