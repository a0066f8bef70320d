use std::process::ExitCode;

use kit::caller::Verifier;
use kit::health::Health;
use kit::redis::Redis;
use kit::serve::{Servers, serve};
use kit::{Clock, postgres};
use points::app::Points;
use points::config::Config;
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::run::run("points", env!("CARGO_PKG_VERSION"), start)
}

async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let db = postgres::connect(&config.postgres, "points", &points::MIGRATOR).await?;
    let redis = Redis::new(&config.redis, "points")?;
    let verifier = Verifier::from_auth(&config.auth, Clock::system())?.following(&redis);
    let queue = Redis::patient(&config.redis, "points", "fallback-queue")?;
    let app = Points::new(db.clone(), redis.clone(), Clock::system())
        .degrading(config.redis.breaker(), queue);
    app.start(&stop);
    let http = points::http::router(app.clone(), verifier.clone());
    let grpc = points::grpc::routes(app, verifier);
    let health = Health::new("points", db, redis);
    serve(&config.listen, Servers { http, grpc, health }, stop).await
}
