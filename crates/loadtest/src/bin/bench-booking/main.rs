//! Booking over HTTP beside pgbench, in turns, with more and more bookings in the database.
//! `scripts/bench-booking` gives this the server and the database it wants.

mod client;
mod fill;
mod report;
mod rivals;
mod server;

use std::time::Duration;

use clap::Parser;
use loadtest::pgbench;
use sqlx::PgPool;

use crate::client::Work;
use crate::report::Report;
use crate::server::Server;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The rivals and we take turns, so that a slow minute of the machine hits everybody.
const ROUNDS: usize = 3;
const CLIENTS: usize = 16;

#[derive(Debug, Parser)]
struct Config {
    /// URL of the database as the owner of the schema, who may migrate.
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    owner_url: String,
    /// URL of the database as the service's own role.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    app_url: String,
    /// Seconds to measure each figure, in each round.
    #[arg(long, env = "SECONDS_EACH", default_value = "3")]
    seconds_each: u64,
    /// Numbers of bookings stored during the measurements, one after the other.
    #[arg(long, env = "SIZES", value_delimiter = ',', default_value = "0,10000,100000,1000000")]
    sizes: Vec<i64>,
    /// Figures to measure; all when absent. For two builds in turns: `ONLY=book`.
    #[arg(long, env = "ONLY", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    redis: kit::config::Redis,
}

impl Config {
    fn measures(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == what)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let config = Config::parse();
    let owner = PgPool::connect(&config.owner_url).await?;
    booking::MIGRATOR.run(&owner).await?;
    fill::merchants(&owner).await?;
    let server = Server::start(&config.app_url, &config.redis).await?;
    let each = Duration::from_secs(config.seconds_each);
    let mut report = Report::default();
    for size in &config.sizes {
        fill::bookings(&owner, *size).await?;
        client::run(&server, Work::Book, CLIENTS, each).await?; // warm
        for _ in 0..ROUNDS {
            for what in report::KINDS.into_iter().filter(|what| config.measures(what)) {
                let url = &config.app_url;
                let figures = match what {
                    "pgbench" => pgbench::run(url, &rivals::insert(), CLIENTS, each).await?,
                    "textbook" => pgbench::run(url, &rivals::textbook(), CLIENTS, each).await?,
                    "statement" => pgbench::run(url, &rivals::statement(), CLIENTS, each).await?,
                    "book" => client::run(&server, Work::Book, CLIENTS, each).await?,
                    "hold" => client::run(&server, Work::Hold, CLIENTS, each).await?,
                    _ => client::run(&server, Work::Slots, 1, each).await?,
                };
                report.add(*size, what, figures);
            }
        }
        report.show(*size);
    }
    report.judge(&config.sizes);
    Ok(())
}
