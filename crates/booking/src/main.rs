use std::process::ExitCode;

use booking::config::Config;
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
    let redis = redis::Redis::new(&config.redis, "booking", &config.auth.service_client_secret)?;
    let peers = peers::over_grpc(&config)?;
    let bookings = Bookings::configured(db.clone(), peers, &redis, &config)?;
    if let Some(command) = config.command {
        return bookings.operate(command).await;
    }
    let verifier = Verifier::from_auth(&config.auth, Clock::system())?.following(&redis);
    bookings.keep_house(&stop);
    let http = http::router(bookings.clone(), verifier.clone());
    let (grpc, health) = (grpc::routes(bookings, verifier), Health::new("booking", db, redis));
    serve(&config.listen, Servers { http, grpc, health }, stop).await
}
