//! Measures the cost of our layers: a route that does nothing, behind all of them and behind none.

use crate::client::{self, Target};
use crate::collector;
use crate::config::{Rounds, What};
use crate::cpu;
use crate::report::{Cpu, Results, Row};
use crate::server::Server;
use crate::steps::Metrics;

const CONNECTIONS: usize = 32;

const BARE: &str = "bare axum";

pub(crate) async fn run(config: Rounds) -> anyhow::Result<()> {
    let otlp = collector::start().await?;
    let stacks = [
        (BARE, Server::start(What::Bare, 0.0, "").await?),
        ("everything, all traced", Server::start(What::Noop, 1.0, &otlp).await?),
        ("everything, 10 % traced", Server::start(What::Noop, 0.1, &otlp).await?),
    ];
    let mut results = Results::default();
    for round in 0..=config.rounds {
        for (name, server) in &stacks {
            let before = cpu::used(server.pid).as_secs_f64();
            let figures =
                client::run(&server.greeting, Target::Nothing, CONNECTIONS, config.each()).await?;
            let used = cpu::used(server.pid).as_secs_f64();
            let cpu = Cpu { service: used, ..Cpu::default() }
                .since(Cpu { service: before, ..Cpu::default() }, figures.requests);
            // The first round warms.
            if round > 0 {
                let metrics = (Metrics::default(), Metrics::default());
                results.add((*name).to_owned(), Row { figures, cpu, metrics });
            }
        }
    }
    results.print(config.rounds);
    results.compare("all traced / bare", "everything, all traced", BARE, 0.33);
    results.compare("10 % traced / bare", "everything, 10 % traced", BARE, 0.47);
    Ok(())
}
