use std::process::ExitCode;

use incidents::config::{Command, Config};
use incidents::{app::Incidents, channels::Channels, jobs, report};
use kit::{Clock, caller::Verifier, health::Health, postgres, redis::Redis};
use kit::{serve::Servers, serve::serve};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::run::run("incidents", env!("CARGO_PKG_VERSION"), start)
}

async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let db = postgres::connect(&config.postgres, "incidents", &incidents::MIGRATOR).await?;
    let app = Incidents::new(db.clone(), Clock::system(), config.policy()?);
    if let Some(Command::Report { month }) = config.command {
        return report::print(&app, month).await;
    }
    let redis = Redis::new(&config.redis, "incidents", &config.auth.service_client_secret)?;
    let verifier = Verifier::from_auth(&config.auth, Clock::system())?.following(&redis);
    jobs::start(&app, Channels::new(app.clone(), &config.notify.addresses())?, &db, &stop);
    let http = incidents::http::router(app.clone(), config.site()?, verifier.clone())?;
    let grpc = incidents::grpc::routes(app, verifier);
    let servers = Servers { http, grpc, health: Health::new("incidents", db, redis) };
    serve(&config.listen, servers, stop).await
}
