use std::time::Duration;

use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::Auth;
use crate::metrics;
use crate::store::{attempts, sessions};

/// The age that the gauges may reach.
const PERIOD: Duration = Duration::from_secs(15);

impl Auth {
    /// Sets the gauges that are counted in the database, until `stop`.
    pub async fn set_gauges(&self, stop: &CancellationToken) -> anyhow::Result<()> {
        let mut tick = interval(PERIOD);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let mut conn = self.db.acquire().await?;
            metrics::ACTIVE_SESSIONS.set(sessions::count_active(&mut conn).await?);
            metrics::GUESSED_ACCOUNTS.set(attempts::count_guessed(&mut conn).await?);
        }
        Ok(())
    }
}
