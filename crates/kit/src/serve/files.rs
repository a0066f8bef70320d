//! A file descriptor for every connection that a port may hold. Without one the machine refuses a connection long
//! before the port is full, on all ports alike.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// The ports that hold connections.
const PORTS: u64 = 3;

/// For everything else: databases, other services, logs, listeners.
const OTHERS: u64 = 256;

/// The limits, after this process may open as many files as they need. Where it may not, each port holds fewer
/// connections.
pub(super) fn fitted(limits: Limits) -> Limits {
    let needed = (limits.max_connections as u64).saturating_mul(PORTS).saturating_add(OTHERS);
    let available = raise(needed);
    if available >= needed {
        return limits;
    }
    // Of very few, a quarter is for everything else.
    let others = OTHERS.min(available / 4);
    let fits = ((available - others) / PORTS).max(1);
    let max_connections = usize::try_from(fits).unwrap_or(usize::MAX);
    tracing::warn!(
        files = available,
        wanted = limits.max_connections,
        max_connections,
        "the limit of open files (RLIMIT_NOFILE) is too low for MAX_CONNECTIONS: each port holds fewer"
    );
    Limits { max_connections, ..limits }
}

/// How many files this process may open, raised to `needed` as far as it may.
fn raise(needed: u64) -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let before = current.unwrap_or(u64::MAX);
    let wanted = needed.min(maximum.unwrap_or(u64::MAX));
    if before >= wanted {
        return before;
    }
    let raised = Rlimit { current: Some(wanted), maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => {
            tracing::info!(before, now = wanted, "raised the limit of open files (RLIMIT_NOFILE)");
            wanted
        }
        Err(error) => {
            tracing::warn!(%error, before, wanted, "cannot raise the limit of open files (RLIMIT_NOFILE)");
            before
        }
    }
}
