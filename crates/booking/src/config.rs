//! Everything an operator may set, read once at start.

use clap::Parser;
use kit::config::{Auth, Listen, Postgres, Redis};

/// Appointments with a merchant's staff.
#[derive(Clone, Debug, Parser)]
#[command(name = "booking", version)]
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
    /// http://host:port of points' gRPC.
    #[arg(long, env = "POINTS_GRPC_URL")]
    pub points_grpc_url: String,
}

impl kit::run::Config for Config {
    fn observability(&self) -> &observability::Config {
        &self.observability
    }
}
