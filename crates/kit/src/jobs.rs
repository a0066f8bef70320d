//! Scheduled jobs: one runner at a time across replicas, panics survived and counted.

use std::time::Duration;

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

/// Runs `job` every `period` on the replica that holds the leader lock of `name`.
pub async fn every<F, Fut>(
    _name: &'static str,
    _period: Duration,
    _db: PgPool,
    _stop: CancellationToken,
    _job: F,
) where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    todo!()
}
