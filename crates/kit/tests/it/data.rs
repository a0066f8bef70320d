//! PostgreSQL and Redis, tested with real servers.

mod breaker;
mod cache;
mod command;
mod idempotency;
mod jobs;
mod leader;
mod outbox;
mod pool;
pub mod redis_server;
mod relay;
mod schema;
mod stop;
mod stranger;

use std::path::Path;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};

/// The platform's own migration, without the tables of a service.
static PLATFORM: LazyLock<Migrator> = LazyLock::new(|| {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../migrations/points/000001_platform.up.sql");
    let sql = AssertSqlSafe(std::fs::read_to_string(file).unwrap()).into_sql_str();
    let migration = Migration::new(1, "platform".into(), MigrationType::ReversibleUp, sql, false);
    Migrator::with_migrations(vec![migration])
});

const APP: &str = "points_app";

/// A service's pool, in the least-privileged role.
fn service_pool(db: &PgPool) -> PgPool {
    let config = kit::config::Postgres::new(testkit::postgres::url(db, APP));
    let options = (*db.connect_options()).clone().username(APP);
    kit::postgres::options(&config).connect_lazy_with(options)
}

fn noon() -> DateTime<Utc> {
    DateTime::UNIX_EPOCH
}

/// Returns the sum of a metric's series whose line contains all of `parts`.
fn metric(parts: &[&str]) -> f64 {
    let (_, text) = observability::metrics::render();
    String::from_utf8(text)
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#') && parts.iter().all(|part| line.contains(part)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}
