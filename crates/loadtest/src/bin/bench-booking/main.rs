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
const SIZES: [i64; 4] = [0, 10_000, 100_000, 1_000_000];

#[derive(Debug, Parser)]
struct Config {
    /// As the owner of the schema, who may migrate.
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    owner_url: String,
    /// As the service's own role.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    app_url: String,
    /// How long each figure is measured, in each round.
    #[arg(long, env = "SECONDS_EACH", default_value = "3")]
    seconds_each: u64,
    #[command(flatten)]
    redis: kit::config::Redis,
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
    for size in SIZES {
        fill::bookings(&owner, size).await?;
        client::run(&server, Work::Book, CLIENTS, each).await?; // warm
        for _ in 0..ROUNDS {
            let script = rivals::insert();
            report.add(
                size,
                "pgbench",
                pgbench::run(&config.app_url, &script, CLIENTS, each).await?,
            );
            let script = rivals::textbook();
            report.add(
                size,
                "textbook",
                pgbench::run(&config.app_url, &script, CLIENTS, each).await?,
            );
            report.add(size, "book", client::run(&server, Work::Book, CLIENTS, each).await?);
            report.add(size, "hold", client::run(&server, Work::Hold, CLIENTS, each).await?);
            report.add(size, "slots", client::run(&server, Work::Slots, 1, each).await?);
        }
        report.show(size);
    }
    report.judge();
    Ok(())
}
