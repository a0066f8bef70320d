use std::process::ExitCode;

use kit::caller::Verifier;
use kit::redis::Redis;
use kit::serve::{Servers, serve};
use kit::{Clock, postgres};
use points::app::Points;
use points::config::{Config, Task};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::run::run("points", env!("CARGO_PKG_VERSION"), start)
}

async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let db = postgres::connect(&config.postgres, "points", &points::MIGRATOR).await?;
    if config.task == Some(Task::Reconcile) {
        return points::app::audit(&db).await;
    }
    let redis = Redis::new(&config.redis, "points", &config.auth.service_client_secret)?;
    let verifier = Verifier::from_auth(&config.auth, Clock::system())?.following(&redis);
    let app = Points::start(db, redis, &config, &stop)?;
    let health = app.health();
    let http = points::http::router(app.clone(), verifier.clone());
    let grpc = points::grpc::routes(app, verifier);
    serve(&config.listen, Servers { http, grpc, health }, stop).await
}
