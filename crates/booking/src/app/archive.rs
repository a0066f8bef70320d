use kit::postgres;

use super::Bookings;
use crate::{metrics, store};

/// Bookings moved by one statement.
const BATCH: i32 = 1000;

impl Bookings {
    /// Archives the bookings that were completed over a year ago, and returns their number. An interrupted run
    /// leaves nothing behind.
    pub async fn archive(&self) -> sqlx::Result<u64> {
        let mut total = 0;
        loop {
            let mut tx = postgres::begin(&self.db).await?;
            let moved = store::archive_bookings(&mut tx, BATCH).await?;
            postgres::commit(tx).await?;
            metrics::archived(moved);
            total += moved;
            if moved < u64::from(BATCH.unsigned_abs()) {
                return Ok(total);
            }
        }
    }
}
