//! Runs the chosen benchmark on its threads.

use tokio::runtime::Builder;

use crate::config::Benchmark;
use crate::{layers, points, service};

pub(crate) fn run(benchmark: Benchmark) -> anyhow::Result<()> {
    match benchmark {
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
