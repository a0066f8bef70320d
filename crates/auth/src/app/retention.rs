use super::Auth;
use crate::store::{attempts, codes, devices, events, members, notices, sessions};

/// Accounts deleted in one run.
const AT_A_TIME: i32 = 500;

impl Auth {
    /// Deletes data whose retention is over.
    pub async fn delete_expired(&self) -> anyhow::Result<()> {
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

    /// Deletes accounts that were not verified or used in time.
    pub async fn delete_unverified(&self) -> anyhow::Result<()> {
        let mut conn = self.db.acquire().await?;
        let deleted = members::delete_unverified(&mut conn, AT_A_TIME).await?;
        if deleted > 0 {
            tracing::info!(accounts = deleted, "deleted unverified accounts");
        }
        Ok(())
    }
}
