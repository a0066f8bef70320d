//! Benchmarks. `scripts/bench-points` gives this the server and the database it wants.

mod client;
mod config;
mod pgbench;
mod points;
mod report;
mod service;

use clap::Parser as _;
use config::Config;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _telemetry = observability::init("points", "bench", &observability::Config::default())?;
    points::run(&Config::parse()).await?.print();
    Ok(())
}
