//! The benchmark of the ledger.

use loadtest::closed_loop::Figures;
use loadtest::pgbench;

use crate::client::{self, Target};
use crate::config::{Points, What};
use crate::report::{Cpu, Results, Row};
use crate::server::Server;
use crate::steps::Metrics;
use crate::{collector, cpu, rivals};

/// Goals from the design: what, ours, theirs, and how many times theirs it is to be.
const GOALS: [(&str, &str, &str, f64); 3] = [
    ("earn / textbook, at 32", "(c) earn over HTTP, 32", "(a) pgbench, textbook, 32", 2.0),
    (
        "earn / one statement, at 32",
        "(c) earn over HTTP, 32",
        "(b) pgbench, one statement, 32",
        1.0,
    ),
    ("hot account / all accounts", "(d) earn, one hot account, 32", "(c) earn over HTTP, 32", 0.8),
];

pub(crate) async fn run(config: &Points) -> anyhow::Result<()> {
    let server =
        Server::start(What::Points, config.trace_ratio, &collector::start().await?).await?;
    let mut bench = Bench { config, server, results: Results::default() };
    // Warm caches, plans and pool.
    client::run(&bench.server.greeting, Target::Everybody, 32, config.rounds.each()).await?;
    for _ in 0..config.rounds.rounds {
        bench.round().await?;
    }
    let results = &bench.results;
    results.print(config.rounds.rounds);
    for (what, ours, theirs, goal) in GOALS {
        results.compare(what, ours, theirs, goal);
    }
    results.compare_p50(
        "p50 at one connection / textbook",
        "(c) earn over HTTP, 1",
        "(a) pgbench, textbook, 1",
        2.0,
    );
    results.print_steps("(c) earn over HTTP, 32");
    Ok(())
}

struct Bench<'a> {
    config: &'a Points,
    server: Server,
    results: Results,
}

impl Bench<'_> {
    async fn round(&mut self) -> anyhow::Result<()> {
        let wanted = |letter| self.config.only.contains(letter);
        let (a, b, c, d, e) = (wanted('a'), wanted('b'), wanted('c'), wanted('d'), wanted('e'));
        for clients in [1, 8, 32].into_iter().filter(|_| a) {
            self.pgbench("(a) pgbench, textbook", rivals::TEXTBOOK, clients).await?;
        }
        for clients in [1, 8, 32].into_iter().filter(|_| b) {
            self.pgbench("(b) pgbench, one statement", rivals::SINGLE, clients).await?;
        }
        for connections in [1, 8, 32, 128].into_iter().filter(|_| c) {
            self.http("(c) earn over HTTP", Target::Everybody, connections).await?;
        }
        if d {
            self.http("(d) earn, one hot account", Target::One, 32).await?;
        }
        if e {
            self.http("(e) balance, cached", Target::Balance, 32).await?;
        }
        Ok(())
    }

    async fn pgbench(&mut self, name: &str, script: &str, clients: usize) -> anyhow::Result<()> {
        let before = self.cpu();
        let each = self.config.rounds.each();
        let figures = pgbench::run(&self.config.stores.app_url, script, clients, each).await?;
        self.add(name, clients, figures, before, (Metrics::default(), Metrics::default()));
        Ok(())
    }

    async fn http(&mut self, name: &str, target: Target, connections: usize) -> anyhow::Result<()> {
        let metrics = self.metrics().await?;
        let before = self.cpu();
        let each = self.config.rounds.each();
        let figures = client::run(&self.server.greeting, target, connections, each).await?;
        let after = self.metrics().await?;
        self.add(name, connections, figures, before, (metrics, after));
        Ok(())
    }

    fn add(
        &mut self,
        name: &str,
        clients: usize,
        figures: Figures,
        before: Cpu,
        metrics: (Metrics, Metrics),
    ) {
        let cpu = self.cpu().since(before, figures.requests);
        self.results.add(format!("{name}, {clients}"), Row { figures, cpu, metrics });
    }

    fn cpu(&self) -> Cpu {
        Cpu {
            service: cpu::used(self.server.pid).as_secs_f64(),
            postgres: cpu::used(self.config.postgres_pid).as_secs_f64(),
            redis: cpu::used(self.config.redis_pid).as_secs_f64(),
        }
    }

    async fn metrics(&self) -> anyhow::Result<Metrics> {
        match self.server.greeting.admin {
            Some(admin) => Metrics::read(admin).await,
            None => Ok(Metrics::default()),
        }
    }
}
