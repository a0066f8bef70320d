//! Everything an operator may set, read once at start.

use clap::{Parser, Subcommand};
use kit::config::{Auth, Listen, Postgres, Redis};

/// The points ledger.
#[derive(Clone, Debug, Parser)]
#[command(name = "points", version)]
pub struct Config {
    /// Serves, when absent.
    #[command(subcommand)]
    pub task: Option<Task>,
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

/// What the program does instead of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Task {
    /// Compares ledger and balances once: fails when they differ, and logs where.
    Reconcile,
}

impl kit::run::Config for Config {
    fn observability(&self) -> &observability::Config {
        &self.observability
    }

    fn edge(&self) -> &kit::config::Edge {
        &self.listen.edge
    }
}
