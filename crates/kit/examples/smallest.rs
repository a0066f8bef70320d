//! The smallest service: everything that a `main` does, without an application. The tests of `kit` run it as
//! a process of its own; for a real one see `crates/booking/src/service.rs`.

use std::process::ExitCode;

use axum::Router;
use axum::routing::get;
use kit::caller::Verifier;
use kit::config::{self, Listen, Postgres};
use kit::health::Health;
use kit::process::{Refusal, launch};
use kit::redis::Redis;
use kit::serve::{Servers, serve};
use kit::{Clock, http};
use secrecy::ExposeSecret;
use sqlx::postgres::PgPoolOptions;

#[derive(clap::Parser)]
struct Config {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    postgres: Postgres,
    #[command(flatten)]
    redis: config::Redis,
    #[command(flatten)]
    observability: observability::Config,
    /// Refuse to start, with this message.
    #[arg(long, env = "REFUSE")]
    refuse: Option<String>,
}

fn main() -> ExitCode {
    let check = |config: &Config| config.listen.edge.check(&config.observability.environment);
    let observability = |config: &Config| config.observability.clone();
    launch("smallest", env!("CARGO_PKG_VERSION"), check, observability, async |config, stop| {
        if let Some(reason) = config.refuse {
            return Err(Refusal(reason).into());
        }
        let database_url = config.postgres.database_url.expose_secret();
        let database = PgPoolOptions::new().connect_lazy(database_url)?;
        let redis = Redis::new(&config.redis, "smallest", &"kept in a secret store".into())?;
        let routes = Router::new().route("/hello", get(|| async { "hello" }));
        let openapi = utoipa::openapi::OpenApiBuilder::new().build();
        let servers = Servers {
            http: http::edge(routes, openapi, Verifier::empty("smallest", Clock::system())),
            grpc: tonic::service::Routes::default(),
            health: Health::new("smallest", database, redis),
        };
        serve(&config.listen, servers, stop).await
    })
}
