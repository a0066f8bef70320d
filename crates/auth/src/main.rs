use std::process::ExitCode;

use auth::app::Auth;
use auth::config::{Command, Config};
use auth::{MIGRATOR, grpc, hasher::Hasher, http, keyring::Keyring, mailer::Mailer};
use kit::{Clock, health::Health, postgres, redis::Redis, serve::Servers, serve::serve};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::run::run("auth", env!("CARGO_PKG_VERSION"), start)
}

async fn start(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    let db = postgres::connect(&config.postgres, "auth", &MIGRATOR).await?;
    let redis = Redis::new(&config.redis, "auth", &config.auth_key_encryption_key)?;
    let keyring = Keyring::new(&config.auth_key_encryption_key)?;
    let hasher = Hasher::new().peppered(config.password_peppers.unwrap_or_default());
    let auth = Auth::open(db.clone(), redis.clone(), Clock::system(), hasher, keyring).await?;
    if let Some(Command::Operate(operation)) = config.command {
        return auth.operate(operation).await;
    }
    auth.keep_house(&stop);
    tokio::spawn(auth.clone().deliver_mail(Mailer::new(&config.mail)?, stop.clone()));
    let health = Health::new("auth", db, redis);
    let (http, grpc) = (http::router(auth.clone()), grpc::routes(auth));
    serve(&config.listen, Servers { http, grpc, health }, stop).await
}
