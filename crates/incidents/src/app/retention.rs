use chrono::{DateTime, TimeDelta, Utc};
use kit::postgres;

use super::{Error, Incidents};
use crate::store::alerts;

/// The time for which the bytes of a delivery are kept; its alerts stay.
const KEPT: TimeDelta = TimeDelta::days(30);

impl Incidents {
    /// Deletes old deliveries. Returns their number.
    pub async fn forget_deliveries(&self) -> Result<i64, Error> {
        self.forget_before(self.clock.now() - KEPT).await
    }

    /// Deletes a thousand at a time, each in a transaction of its own, so that no other waits for it.
    async fn forget_before(&self, before: DateTime<Utc>) -> Result<i64, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let mut all = 0;
        loop {
            match alerts::forget(&mut conn, before).await? {
                0 => return Ok(all),
                some => all += some,
            }
        }
    }
}
