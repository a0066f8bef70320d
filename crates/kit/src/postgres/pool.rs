//! The pool, and the settings of its connections.

use std::io;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use observability::metrics::db;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, PgConnection, PgPool};
use tokio::time::{Instant, sleep, timeout};

use super::{PROCESS, Process, contact, incarnation, schema};
use crate::config;

/// Time that a starting service waits for a database that is still starting.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Time limit of one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// Time limit of cleaning a connection, after which it is closed instead.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// Idle time up to which a connection is used without a check.
const FRESH: Duration = Duration::from_secs(1);

/// Time between two updates of the pool's gauges.
const GAUGE_PERIOD: Duration = Duration::from_secs(1);

/// Time limit of getting a connection to a replica; the primary would have answered by then.
const REPLICA_PATIENCE: Duration = Duration::from_millis(150);

/// Connects, and refuses pending or dirty migrations with the command that mends them. Waits up to 10 s for
/// an unavailable database.
pub async fn connect(
    config: &config::Postgres,
    service: &'static str,
    schema: &Migrator,
) -> anyhow::Result<PgPool> {
    PROCESS
        .get_or_init(|| Process { service, statement_timeout: config.database_statement_timeout });
    let connect = promises(config, &config.database_url, service)
        .context("DATABASE_URL is not a PostgreSQL URL")?;
    let mut first = wait_for_server(&connect).await?;
    schema::check(&mut first, service, schema).await?;
    first.close().await.ok();

    let pool = options(config).connect_lazy_with(connect);
    contact::set_pool(&pool);
    tokio::spawn(watch(service, pool.clone()));
    Ok(pool)
}

/// Creates a read-only pool on a replica of the same database. The start does not wait for it, and requests
/// wait only briefly: the primary answers whatever the replica does not.
pub fn replica(
    config: &config::Postgres,
    url: &SecretString,
    service: &'static str,
) -> anyhow::Result<PgPool> {
    let connect =
        promises(config, url, service).context("DATABASE_REPLICA_URL is not a PostgreSQL URL")?;
    let options = options(config)
        .acquire_timeout(REPLICA_PATIENCE)
        // No values of a replica are cached, so its incarnation is not needed.
        .after_connect(|_, _| Box::pin(async { Ok(()) }));
    Ok(options.connect_lazy_with(connect))
}

/// Returns the settings of every connection.
fn promises(
    config: &config::Postgres,
    url: &SecretString,
    service: &'static str,
) -> Option<PgConnectOptions> {
    let statement_timeout = format!("{}ms", config.database_statement_timeout.as_millis());
    let options = parse(url.expose_secret())?
        .application_name(service)
        .options([
            ("statement_timeout", statement_timeout.as_str()),
            ("lock_timeout", "500ms"),
            ("idle_in_transaction_session_timeout", "5s"),
            // A vanished machine must not keep its locks for the two hours that TCP waits.
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
        ])
        .disable_statement_logging(); // `query` logs slow ones, without the parameters
    Some(options)
}

/// Returns `None` instead of an error, which may quote the URL with its password. sqlx itself accepts any
/// scheme.
fn parse(url: &str) -> Option<PgConnectOptions> {
    let ours = ["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme));
    ours.then(|| PgConnectOptions::from_str(url).ok()).flatten()
}

/// Returns the options of every pool. Public, so that tests can use them on their own database.
pub fn options(config: &config::Postgres) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(config.database_pool_max)
        .min_connections(config.database_pool_min)
        .acquire_timeout(config.database_acquire_timeout)
        .max_lifetime(config.database_max_lifetime)
        .idle_timeout(config.database_idle_timeout)
        // A check costs a round trip before every request; a recently used connection needs none.
        .test_before_acquire(false)
        .after_connect(|connection, _| Box::pin(incarnation::read(connection)))
        .before_acquire(|connection, idle| Box::pin(test(connection, idle.idle_for)))
        .after_release(|connection, _| Box::pin(clean(connection)))
}

/// Ends a transaction that is still open, before the connection is used again.
///
/// sqlx 0.8.4 to 0.9.0 release a connection inside an open transaction when a future is dropped during BEGIN
/// (transact-rs/sqlx#4385). The next user's transaction commits all the same, but a statement without one is
/// acknowledged and later undone by a rollback: 19 to 32 of some 4,000 in `points::it rude_clients` without
/// this function and without detached writes. A bare ROLLBACK would make the server log a warning each time
/// there is nothing to roll back, which is nearly always.
async fn clean(connection: &mut PgConnection) -> sqlx::Result<bool> {
    let clean = connection.execute(sqlx::raw_sql("BEGIN; ROLLBACK"));
    match timeout(RELEASE_TIMEOUT, clean).await {
        Ok(result) => result.map(|_| true),
        Err(_) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
    }
}

/// Checks a connection before use, if it was idle for long or another one was lost meanwhile.
async fn test(connection: &mut PgConnection, idle: Duration) -> sqlx::Result<bool> {
    if idle > FRESH || contact::lost_within(idle) {
        connection.ping().await?;
    }
    Ok(true)
}

/// Updates the gauges of the pool until it is closed.
async fn watch(service: &'static str, pool: PgPool) {
    let max = pool.options().get_max_connections();
    db::declare(service, max);
    while !pool.is_closed() {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        db::connections(service, pool.size().saturating_sub(idle), idle, max);
        sleep(GAUGE_PERIOD).await;
    }
}

async fn wait_for_server(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    let deadline = Instant::now() + START_PATIENCE;
    let mut said = false;
    loop {
        let attempt = timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options)).await;
        let error = match attempt {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error,
            Err(_) => sqlx::Error::Io(io::ErrorKind::TimedOut.into()),
        };
        let passing = super::kind(&error) == crate::Kind::Unavailable;
        if !passing || Instant::now() >= deadline {
            return Err(error).with_context(|| {
                format!(
                    "cannot connect to PostgreSQL at {}:{}",
                    options.get_host(),
                    options.get_port()
                )
            });
        }
        if !said {
            tracing::warn!(error = %error, "waiting for PostgreSQL");
            said = true;
        }
        sleep(Duration::from_millis(200)).await;
    }
}
