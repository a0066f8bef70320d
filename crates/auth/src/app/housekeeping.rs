use std::time::Duration;

use kit::jobs;
use observability::task::supervise;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use super::Auth;
use crate::metrics;
use crate::store::{attempts, codes, devices, events, members, notices, sessions};

/// The age that the gauges may reach.
const COUNT_PERIOD: Duration = Duration::from_secs(15);
const TEND_PERIOD: Duration = Duration::from_mins(10);
const FORGET_PERIOD: Duration = Duration::from_mins(10);

/// Accounts deleted in one run.
const AT_A_TIME: i32 = 500;

impl Auth {
    /// Starts the background jobs; they end at `stop`.
    pub fn keep_house(&self, stop: &CancellationToken) {
        tokio::spawn(jobs::housekeeping(self.db.clone(), stop.clone()));
        let auth = self.clone();
        tokio::spawn(supervise("count_sessions", stop.clone(), move || {
            let auth = auth.clone();
            async move { auth.count_sessions().await }
        }));
        let auth = self.clone();
        let until = stop.clone();
        tokio::spawn(supervise("publish_revocations", stop.clone(), move || {
            let (auth, until) = (auth.clone(), until.clone());
            async move {
                auth.publish_revocations(&until).await;
                Ok(())
            }
        }));
        let (auth, until) = (self.clone(), stop.clone());
        tokio::spawn(supervise("reload_keys", stop.clone(), move || {
            let (auth, until) = (auth.clone(), until.clone());
            async move { auth.reload_keys(&until).await }
        }));
        let auth = self.clone();
        let tend = move || {
            let auth = auth.clone();
            async move { auth.tend_keys().await }
        };
        tokio::spawn(jobs::every("tend_keys", TEND_PERIOD, self.db.clone(), stop.clone(), tend));
        let auth = self.clone();
        let forget = move || {
            let auth = auth.clone();
            async move { auth.forget().await }
        };
        tokio::spawn(jobs::every("forget", FORGET_PERIOD, self.db.clone(), stop.clone(), forget));
    }

    /// Sets the gauges that are counted in the database, in every replica, as each is scraped by itself.
    async fn count_sessions(&self) -> anyhow::Result<()> {
        let mut tick = interval(COUNT_PERIOD);
        loop {
            tick.tick().await;
            let mut conn = self.db.acquire().await?;
            metrics::ACTIVE_SESSIONS.set(sessions::count_active(&mut conn).await?);
            metrics::GUESSED_ACCOUNTS.set(attempts::count_guessed(&mut conn).await?);
        }
    }

    /// Deletes accounts that were not verified or used in time.
    pub async fn delete_unverified(&self) -> anyhow::Result<()> {
        let mut conn = self.db.acquire().await?;
        let deleted = members::delete_unverified(&mut conn, AT_A_TIME).await?;
        if deleted > 0 {
            tracing::info!(accounts = deleted, "deleted unverified accounts");
        }
        Ok(())
    }

    /// Deletes data whose retention is over.
    async fn forget(&self) -> anyhow::Result<()> {
        let mut conn = self.db.acquire().await?;
        let attempts = attempts::forget(&mut conn).await?;
        let sessions = sessions::forget(&mut conn).await?;
        let codes = codes::forget(&mut conn).await?;
        let notices = notices::forget(&mut conn).await?;
        let devices = devices::forget(&mut conn).await?;
        let networks = events::forget_networks(&mut conn).await?;
        tracing::debug!(
            attempts,
            sessions,
            codes,
            notices,
            devices,
            networks,
            "deleted expired data"
        );
        drop(conn);
        self.delete_unverified().await
    }
}
