use std::time::Duration;

use kit::{jobs, postgres};
use observability::task;
use tokio_util::sync::CancellationToken;

use super::Bookings;
use crate::{metrics, store};

/// Nobody waits for the job: an expired hold is expired for everyone who looks, and for whoever wants
/// its slot. It keeps the table and the index small.
const PERIOD: Duration = Duration::from_secs(30);

/// How many holds end in one transaction.
const BATCH: i64 = 500;

impl Bookings {
    /// What nobody asks for and has to be done all the same, until `stop`.
    pub fn keep_house(&self, stop: &CancellationToken) {
        let this = self.clone();
        let sagas = {
            let stop = stop.clone();
            move || {
                let (this, stop) = (this.clone(), stop.clone());
                async move {
                    this.drive_sagas(stop).await;
                    Ok(())
                }
            }
        };
        tokio::spawn({
            let stop = stop.clone();
            async move { task::supervise("sagas", stop, sagas).await }
        });
        tokio::spawn(jobs::housekeeping(self.db.clone(), stop.clone()));
        let this = self.clone();
        let expire = move || {
            let this = this.clone();
            async move { Ok(this.expire_overdue().await.map(drop)?) }
        };
        tokio::spawn(jobs::every("expire_holds", PERIOD, self.db.clone(), stop.clone(), expire));
    }

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
