//! The benchmark of the ledger.

use std::time::Duration;

use crate::client::{self, Target};
use crate::config::Config;
use crate::pgbench;
use crate::report::Results;
use crate::service::Service;

/// The rivals and we take turns, so that a slow minute of the machine hits everybody.
pub(crate) const ROUNDS: usize = 3;

const CONNECTIONS: [usize; 4] = [1, 8, 32, 128];

pub(crate) async fn run(config: &Config) -> anyhow::Result<Results> {
    let (app, each) = (config.app_url.as_str(), Duration::from_secs(config.seconds_each));
    let service = Service::start(config).await?;
    let mut results = Results::default();
    client::run(&service, Target::Everybody, 32, each).await?; // warm
    for _ in 0..ROUNDS {
        for clients in [1, 8, 32] {
            results.add(
                format!("(a) pgbench, textbook, {clients}"),
                pgbench::run(app, pgbench::TEXTBOOK, clients, each).await?,
            );
        }
        for clients in [1, 8, 32] {
            results.add(
                format!("(b) pgbench, one statement, {clients}"),
                pgbench::run(app, pgbench::SINGLE, clients, each).await?,
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
    Ok(results)
}
