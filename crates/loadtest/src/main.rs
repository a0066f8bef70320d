//! Benchmarks. `scripts/bench-points` and `scripts/bench-layers` give this what it wants.

mod client;
mod collector;
mod config;
mod cpu;
mod layers;
mod pgbench;
mod points;
mod report;
mod server;
mod service;
mod steps;

use clap::Parser as _;
use config::{Benchmark, Config};
use tokio::runtime::Builder;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    match Config::parse().benchmark {
        Benchmark::Serve(serve) => {
            Builder::new_multi_thread().enable_all().build()?.block_on(service::serve(&serve))
        }
        // One thread, as pgbench: the less the clients cost, the more is left for who is measured.
        Benchmark::Points(config) => on_one_thread(points::run(&config)),
        Benchmark::Layers(rounds) => on_one_thread(layers::run(rounds)),
    }
}

fn on_one_thread(benchmark: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    Builder::new_current_thread().enable_all().build()?.block_on(benchmark)
}
