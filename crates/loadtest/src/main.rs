//! Benchmarks. `scripts/bench-points` gives this the server and the database it wants.

mod client;
mod config;
mod pgbench;
mod service;

use std::time::Duration;

use clap::Parser as _;
use client::{Figures, Target};
use config::Config;
use service::Service;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The rivals and we take turns, so that a slow minute of the machine hits everybody.
const ROUNDS: usize = 3;

const CONNECTIONS: [usize; 4] = [1, 8, 32, 128];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _telemetry = observability::init("points", "bench", &observability::Config::default())?;
    let config = Config::parse();
    let (app, each) = (config.app_url.clone(), Duration::from_secs(config.seconds_each));
    let service = Service::start(&config).await?;

    let mut results = Results::default();
    client::run(&service, Target::Everybody, 32, each).await?; // warm
    for _ in 0..ROUNDS {
        for clients in [1, 8, 32] {
            results.add(
                format!("(a) pgbench, textbook, {clients}"),
                pgbench::run(&app, pgbench::TEXTBOOK, clients, each).await?,
            );
        }
        for clients in [1, 8, 32] {
            results.add(
                format!("(b) pgbench, one statement, {clients}"),
                pgbench::run(&app, pgbench::SINGLE, clients, each).await?,
            );
        }
        for connections in CONNECTIONS {
            results.add(
                format!("(c) earn over HTTP, {connections}"),
                client::run(&service, Target::Everybody, connections, each).await?,
            );
        }
        results.add(
            "(d) earn, one hot account, 32".to_owned(),
            client::run(&service, Target::One, 32, each).await?,
        );
        results.add(
            "(e) balance, cached, 32".to_owned(),
            client::run(&service, Target::Balance, 32, each).await?,
        );
    }
    results.print();
    Ok(())
}

#[derive(Default)]
struct Results(Vec<(String, Vec<Figures>)>);

impl Results {
    fn add(&mut self, name: String, figures: Figures) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(figures),
            None => self.0.push((name, vec![figures])),
        }
    }

    /// The middle round, by rate.
    fn median(&self, name: &str) -> Option<Figures> {
        let (_, rounds) = self.0.iter().find(|(known, _)| known.starts_with(name))?;
        let mut rounds = rounds.clone();
        rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
        rounds.get(rounds.len() / 2).copied()
    }

    #[expect(clippy::print_stderr, reason = "standard output is the service's log")]
    fn print(&self) {
        eprintln!(
            "{:<36} {:>9} {:>8} {:>8}  (median of {ROUNDS})",
            "", "per s", "p50 ms", "p99 ms"
        );
        for (name, _) in &self.0 {
            let Some(figures) = self.median(name) else { continue };
            eprintln!(
                "{name:<36} {:>9.0} {:>8.2} {:>8.2}{}",
                figures.per_second,
                figures.p50,
                figures.p99,
                if figures.failed == 0 {
                    String::new()
                } else {
                    format!("  {} failed", figures.failed)
                }
            );
        }
        for (what, ours, theirs, goal) in [
            ("earn / textbook, at 32", "(c) earn over HTTP, 32", "(a) pgbench, textbook, 32", 2.0),
            (
                "earn / one statement, at 32",
                "(c) earn over HTTP, 32",
                "(b) pgbench, one statement, 32",
                1.0,
            ),
            ("hot account / all accounts", "(d)", "(c) earn over HTTP, 32", 0.8),
        ] {
            if let (Some(ours), Some(theirs)) = (self.median(ours), self.median(theirs)) {
                let ratio = ours.per_second / theirs.per_second;
                eprintln!("{what:<36} {ratio:>9.2} (goal ≥ {goal})");
            }
        }
        if let (Some(ours), Some(theirs)) =
            (self.median("(c) earn over HTTP, 1"), self.median("(a) pgbench, textbook, 1"))
        {
            eprintln!(
                "{:<36} {:>9.2} (goal ≤ 2)",
                "p50 at one connection / textbook",
                ours.p50 / theirs.p50
            );
        }
    }
}
