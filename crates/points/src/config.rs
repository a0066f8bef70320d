//! Everything an operator may set, read once at start.

use clap::Parser;
use kit::config::{Auth, Listen, Postgres, Redis};

/// The points ledger.
#[derive(Clone, Debug, Parser)]
#[command(name = "points", version)]
pub struct Config {
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub postgres: Postgres,
    #[command(flatten)]
    pub redis: Redis,
    #[command(flatten)]
    pub auth: Auth,
    #[command(flatten)]
    pub observability: observability::Config,
}

impl kit::run::Config for Config {
    fn observability(&self) -> &observability::Config {
        &self.observability
    }
}
