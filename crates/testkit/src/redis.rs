//! Finds the Redis that tests may use.

use kit::config;

/// Its URL, from `REDIS_URL`.
///
/// # Panics
/// When that is not set: `make test` sets it.
#[expect(clippy::disallowed_methods, reason = "the environment is all a test is configured by")]
pub fn url() -> String {
    std::env::var("REDIS_URL").expect("REDIS_URL says where the tests' Redis is")
}

/// For `kit::redis::Redis::new`.
pub fn config() -> config::Redis {
    config::Redis::new(Some(url().into()))
}

/// For a service that runs without Redis.
pub fn none() -> config::Redis {
    config::Redis::new(None)
}
