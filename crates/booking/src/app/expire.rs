use kit::postgres;

use super::Bookings;
use crate::{metrics, store};

/// How many holds end in one transaction.
const BATCH: i64 = 500;

impl Bookings {
    /// Ends the holds whose time is over, and says how many. Can stop and go on anywhere.
    pub async fn expire_overdue(&self) -> sqlx::Result<u64> {
        let mut total = 0;
        loop {
            let mut tx = postgres::begin(&self.db).await?;
            let over = store::expire_overdue(&mut tx, BATCH).await?;
            postgres::commit(tx).await?;
            metrics::expired(over);
            total += over;
            if over < BATCH.unsigned_abs() {
                return Ok(total);
            }
        }
    }
}
