use std::process::ExitCode;

use booking::config::{Command, Config};
use booking::{MIGRATOR, app::Bookings, grpc, http, peers};
use kit::serve::{Servers, serve};
use kit::{Clock, caller::Verifier, health::Health, postgres, redis};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::run::run("booking", env!("CARGO_PKG_VERSION"), start)
}

async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let db = postgres::connect(&config.postgres, "booking", &MIGRATOR).await?;
    let points = peers::PointsOverGrpc::shared(&config.points_grpc_url, &config.auth)?;
    let bookings = Bookings::configured(db.clone(), points, &config)?;
    if let Some(Command::Seed { owner }) = config.command {
        return bookings.seed(owner).await.map(drop);
    }
    let redis = redis::Redis::new(&config.redis, "booking", &config.auth.service_client_secret)?;
    let verifier = Verifier::from_auth(&config.auth, Clock::system())?.following(&redis);
    bookings.keep_house(&stop);
    peers::tell(&bookings, &config.line, &redis, &stop)?;
    let http = http::router(bookings.clone(), verifier.clone());
    let (grpc, health) = (grpc::routes(bookings, verifier), Health::new("booking", db, redis));
    serve(&config.listen, Servers { http, grpc, health }, stop).await
}
