//! Raises the limit of open files, so that every connection of a full port has a file descriptor. Otherwise
//! the machine refuses connections on all ports long before one is full.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// Number of ports that hold connections.
const PORTS: u64 = 3;

/// File descriptors for everything else: databases, other services, logs, listeners.
const OTHERS: u64 = 256;

/// Raises the limit of open files as far as the limits need. If that fails, reduces the connections per port.
pub(super) fn fitted(limits: Limits) -> Limits {
    let needed = (limits.max_connections as u64).saturating_mul(PORTS).saturating_add(OTHERS);
    let available = raise(needed);
    if available >= needed {
        return limits;
    }
    // If few are available, a quarter is for everything else.
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

/// Raises the limit of open files to `needed`, as far as permitted, and returns it.
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
