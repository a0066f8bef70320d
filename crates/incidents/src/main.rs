use std::process::ExitCode;

use incidents::{
    app::Incidents, channels::Channels, config::Config, http::Credential, peers::Login,
};
use kit::caller::Verifier;
use kit::serve::{Servers, serve};
use kit::{Clock, health::Health, postgres, redis::Redis};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::run::run("incidents", env!("CARGO_PKG_VERSION"), start)
}

async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let db = postgres::connect(&config.postgres, "incidents", &incidents::MIGRATOR).await?;
    let redis = Redis::new(&config.redis, "incidents")?;
    let verifier = Verifier::from_auth(&config.auth, Clock::system())?.following(&redis);
    let app = Incidents::new(db.clone(), Clock::system(), config.policy()?);
    let channels = Channels::new(app.clone(), &config.notify.addresses())?;
    incidents::jobs::start(&app, channels, &db, &stop);
    let login = Login::new(&config.auth_http_url)?;
    let webhook = Credential::new(&config.webhook_token);
    let http = incidents::http::router(app.clone(), webhook, login, verifier.clone());
    let grpc = incidents::grpc::routes(app, verifier);
    let servers = Servers { http, grpc, health: Health::new("incidents", db, redis) };
    serve(&config.listen, servers, stop).await
}
