//! `/health`, `/live`, `/ready` and `/health/detailed`.

use sqlx::PgPool;

/// What the probes look at. Hard dependencies make the service unready; soft ones `degraded`.
#[derive(Clone)]
pub struct Health {}

impl Health {
    pub fn new(_service: &'static str, _database: PgPool, _redis: crate::redis::Redis) -> Self {
        Self {}
    }
}
