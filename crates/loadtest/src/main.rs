//! Benchmarks. `scripts/bench-points` and `make bench-layers` give this what it wants.

mod client;
mod collector;
mod config;
mod layers;
mod points;
mod report;
mod rivals;
mod run;
mod server;
mod service;
mod steps;

use clap::Parser as _;
use loadtest::cpu;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    run::run(config::Config::parse().benchmark)
}
