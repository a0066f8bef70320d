//! Connects to a test's own database as a service does in production.

use std::time::Duration;

use kit::config;
use sqlx::PgPool;

/// A pool as services have it, on the same database, for this role, such as `points_app`: what the
/// role was not granted fails here as it would in production. `#[sqlx::test]` gives the pool to begin
/// with, whose role may do everything.
pub fn app_pool(db: &PgPool, role: &str) -> PgPool {
    let options = (*db.connect_options()).clone().username(role);
    kit::postgres::options(&config::Postgres::new(url(db, role)))
        // A machine that builds and tests at once is slow to connect, which is not what is tested.
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(options)
}

/// The server that tests may use, from `DATABASE_URL`, with a database that nobody changes.
///
/// # Panics
/// When that is not set: `make test` sets it.
#[expect(clippy::disallowed_methods, reason = "the environment is all a test is configured by")]
pub fn server() -> String {
    std::env::var("DATABASE_URL").expect("DATABASE_URL says where the tests' PostgreSQL is")
}

/// The same as a URL, for `kit::postgres::connect`.
///
/// # Panics
/// When the test's own database has no name.
pub fn url(db: &PgPool, role: &str) -> String {
    let options = db.connect_options();
    let database = options.get_database().expect("a test has a database of its own");
    // A path in the middle of a URL needs escaping; as a parameter it does not.
    match options.get_socket() {
        Some(socket) => format!("postgres://{role}@/{database}?host={}", socket.display()),
        None => {
            format!("postgres://{role}@{}:{}/{database}", options.get_host(), options.get_port())
        }
    }
}
