//! The start-up of every service, from configuration to a running process.

use std::process::ExitCode;

use axum::Router;
use secrecy::SecretString;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

use crate::health::Health;
use crate::jobs::Jobs;
use crate::process::launch;
use crate::redis::Redis;
use crate::serve::{Listeners, Servers};
use crate::{Clock, config, postgres};

/// A process that serves HTTP and gRPC from one database.
pub trait Service: Clone + Send + Sync + 'static {
    const NAME: &'static str;
    /// The migrations that its database must have.
    const MIGRATOR: &'static Migrator;
    type Config: Config;

    /// Builds the service. It serves nothing yet, and no job runs.
    fn open(base: Base, config: &Self::Config) -> impl Future<Output = anyhow::Result<Self>>;

    /// Returns the public routes, built by [`crate::http::edge`].
    fn http(&self) -> anyhow::Result<Router>;

    /// Returns the internal routes, built by [`crate::grpc::guard`].
    fn grpc(&self) -> Routes;

    /// Declares every background job, in one place.
    fn jobs(&self, jobs: &mut Jobs);

    /// Runs a subcommand instead of serving.
    fn command(
        self,
        command: <Self::Config as Config>::Command,
    ) -> impl Future<Output = anyhow::Result<()>>;
}

/// The resources that every service needs.
#[derive(Clone)]
pub struct Base {
    pub db: PgPool,
    pub redis: Redis,
    pub clock: Clock,
}

/// A service's configuration, read by [`run`].
pub trait Config: clap::Parser {
    /// A subcommand of the service.
    type Command;

    /// Returns the subcommand, if one was given.
    fn command(&self) -> Option<Self::Command>;

    fn listen(&self) -> &config::Listen;
    fn postgres(&self) -> &config::Postgres;
    fn redis(&self) -> &config::Redis;
    fn observability(&self) -> &observability::Config;

    /// Returns the secret that signs this service's values in Redis.
    fn cache_secret(&self) -> &SecretString;

    /// Checks that the variables are consistent. An error names the variable.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Parses the configuration (one line and exit 64 when it is wrong), starts logs, traces and metrics, opens
/// the service, starts its jobs and serves until SIGTERM or Ctrl-C. `<service> healthcheck` asks a running one
/// instead.
pub fn run<S: Service>(version: &'static str) -> ExitCode {
    let check = |config: &S::Config| {
        config.listen().edge.check(&config.observability().environment)?;
        config.check()
    };
    let observability = |config: &S::Config| config.observability().clone();
    launch(S::NAME, version, check, observability, start::<S>)
}

async fn start<S: Service>(config: S::Config, stop: CancellationToken) -> anyhow::Result<()> {
    let db = postgres::connect(config.postgres(), S::NAME, S::MIGRATOR).await?;
    let redis = Redis::new(config.redis(), S::NAME, config.cache_secret())?;
    let base = Base { db: db.clone(), redis: redis.clone(), clock: Clock::system() };
    let service = S::open(base, &config).await?;
    if let Some(command) = config.command() {
        return service.command(command).await;
    }
    // Ports first: a process without its ports must not run jobs.
    let listeners = Listeners::bind(config.listen())?;
    service.jobs(&mut Jobs::new(db.clone(), stop.clone()));
    let health = Health::new(S::NAME, db, redis);
    let servers = Servers { http: service.http()?, grpc: service.grpc(), health };
    listeners.serve(servers, stop).await;
    Ok(())
}
