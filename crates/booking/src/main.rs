use std::process::ExitCode;

use booking::app::Bookings;
use booking::config::Config;
use booking::{grpc, http, peers};
use kit::serve::{Servers, serve};
use kit::{Clock, caller::Verifier, health::Health, postgres, redis};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::run::run("booking", env!("CARGO_PKG_VERSION"), start)
}

async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let db = postgres::connect(&config.postgres, "booking", &booking::MIGRATOR).await?;
    let points = peers::PointsOverGrpc::shared(&config.points_grpc_url, &config.auth)?;
    let redis = redis::Redis::new(&config.redis, "booking")?;
    let verifier = Verifier::from_auth(&config.auth, Clock::system())?.following(&redis);
    let seal = config.line.seal()?;
    let bookings = Bookings::new(db.clone(), Clock::system(), points).sealing(seal);
    bookings.keep_house(&stop);
    peers::tell(&bookings, &config.line, &redis, &stop)?;
    let http = http::router(bookings.clone(), verifier.clone());
    let grpc = grpc::routes(bookings, verifier);
    let health = Health::new("booking", db, redis);
    serve(&config.listen, Servers { http, grpc, health }, stop).await
}
