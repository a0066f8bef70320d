use std::process::ExitCode;

use auth::app::Auth;
use auth::config::{Command, Config};
use auth::{MIGRATOR, grpc, hasher::Hasher, http, keyring::Keyring};
use kit::serve::{Servers, serve};
use kit::{Clock, health::Health, postgres, redis::Redis};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::run::run("auth", env!("CARGO_PKG_VERSION"), start)
}

async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let keyring = Keyring::new(&config.auth_key_encryption_key)?;
    let db = postgres::connect(&config.postgres, "auth", &MIGRATOR).await?;
    let auth = Auth::open(db.clone(), Clock::system(), Hasher::new(), keyring).await?;
    match config.command {
        Some(Command::Grant(command)) => return auth.grant(&command).await,
        Some(Command::Client(command)) => return auth.install_client(&command).await,
        Some(Command::Serve) | None => auth.keep_house(&stop),
    }
    let health = Health::new("auth", db, Redis::new(&config.redis, "auth")?);
    serve(
        &config.listen,
        Servers { http: http::router(auth.clone()), grpc: grpc::routes(auth), health },
        stop,
    )
    .await
}
