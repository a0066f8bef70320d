use kit::postgres;

use super::Bookings;
use crate::{metrics, store};

/// Holds ended in one transaction.
const BATCH: i64 = 500;

impl Bookings {
    /// Ends the expired holds, and returns their number. An interrupted run leaves nothing behind.
    pub async fn expire_overdue(&self) -> sqlx::Result<u64> {
        let mut total = 0;
        loop {
            let mut tx = postgres::begin(&self.db).await?;
            let ended = store::expire_overdue(&mut tx, BATCH).await?;
            postgres::commit(tx).await?;
            metrics::expired(ended);
            total += ended;
            if ended < BATCH.unsigned_abs() {
                return Ok(total);
            }
        }
    }
}
