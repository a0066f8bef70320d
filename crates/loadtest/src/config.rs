//! Settings that the scripts give, read once at start.

use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

#[derive(Debug, Parser)]
#[command(name = "loadtest")]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) benchmark: Benchmark,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Benchmark {
    /// The ledger over HTTP beside pgbench.
    Points(Points),
    /// A route that does nothing, behind all our layers and behind none.
    Layers(Rounds),
    /// The server under test, in a process of its own.
    Serve(Serve),
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Rounds {
    /// Rounds for each figure: the rivals and we take turns, so that a slow minute of the
    /// machine hits everybody.
    #[arg(long, env = "ROUNDS", default_value = "3")]
    pub(crate) rounds: usize,
    /// Seconds to measure each figure, in each round.
    #[arg(long, env = "SECONDS_EACH", default_value = "3")]
    pub(crate) seconds_each: u64,
}

impl Rounds {
    pub(crate) fn each(&self) -> Duration {
        Duration::from_secs(self.seconds_each)
    }
}

#[derive(Args, Debug)]
pub(crate) struct Points {
    #[command(flatten)]
    pub(crate) rounds: Rounds,
    /// Figures to measure, by their letters: `ac` for two of them.
    #[arg(long, env = "ONLY", default_value = "abcde")]
    pub(crate) only: String,
    /// The share of requests that is traced.
    #[arg(long, env = "TRACE_RATIO", default_value = "1")]
    pub(crate) trace_ratio: f64,
    #[command(flatten)]
    pub(crate) stores: Stores,
    /// The process id of PostgreSQL's postmaster, to ask for its CPU time.
    #[arg(long, env = "POSTGRES_PID")]
    pub(crate) postgres_pid: u32,
    #[arg(long, env = "REDIS_PID")]
    pub(crate) redis_pid: u32,
}

#[derive(Args, Debug)]
pub(crate) struct Serve {
    pub(crate) what: What,
    /// The share of requests that is traced.
    #[arg(long, default_value = "1")]
    pub(crate) trace_ratio: f64,
    /// The OTLP endpoint that receives the spans.
    #[arg(long, default_value = "")]
    pub(crate) otlp: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// The ledger, with everything on.
    Points,
    /// A route that does nothing, behind all our layers.
    Noop,
    /// The same behind none.
    Bare,
}

/// Read by the ledger's server itself, from the same environment: the others need none.
#[derive(Debug, Parser)]
pub(crate) struct Stores {
    /// URL of the database as the owner of the schema, who may migrate.
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub(crate) owner_url: String,
    /// URL of the database as the service's own role.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) app_url: String,
    #[command(flatten)]
    pub(crate) redis: kit::config::Redis,
}
