//! Splits the CPU time: a login shares the machine with the database and with the clients.

use std::time::{Duration, Instant};

use loadtest::cpu;

use crate::Config;

/// The name of the threads of auth's hasher.
const HASHING: &str = "hash";

/// The CPU time used so far.
#[derive(Clone, Copy)]
pub(crate) struct Spent {
    at: Instant,
    pub(crate) hashing: Duration,
    pub(crate) rest_of_auth: Duration,
    pub(crate) postgres: Duration,
    pub(crate) clients: Duration,
}

impl Spent {
    pub(crate) fn now(config: &Config) -> Self {
        let hashing = cpu::threads(config.auth_pid, HASHING);
        Self {
            at: Instant::now(),
            hashing,
            rest_of_auth: cpu::used(config.auth_pid).saturating_sub(hashing),
            postgres: cpu::used(config.postgres_pid),
            clients: cpu::used(std::process::id()),
        }
    }

    /// From then to now, with the time that has passed.
    pub(crate) fn since(config: &Config, then: Self) -> (Self, Duration) {
        let now = Self::now(config);
        let spent = Self {
            at: now.at,
            hashing: now.hashing.saturating_sub(then.hashing),
            rest_of_auth: now.rest_of_auth.saturating_sub(then.rest_of_auth),
            postgres: now.postgres.saturating_sub(then.postgres),
            clients: now.clients.saturating_sub(then.clients),
        };
        (spent, now.at - then.at)
    }
}
