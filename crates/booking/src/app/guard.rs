//! Refuses to take slots while the constraint against overlapping bookings is missing, because nothing else prevents
//! double bookings.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit::postgres;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Bookings, Error};
use crate::{metrics, store};

/// The pause between two checks.
const PERIOD: Duration = Duration::from_secs(3);

/// The pause after a check that the database did not answer.
const AGAIN: Duration = Duration::from_millis(500);

/// The result of the last check. Cheap to clone.
#[derive(Clone)]
pub(super) struct Guard(Arc<AtomicBool>);

impl Guard {
    /// Assumes that a migrated schema has the constraint, until the first check.
    pub(super) fn assumed() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// Refuses to take a slot while the constraint is missing.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err(Error::Unguarded) }
    }
}

impl Bookings {
    /// Checks the constraint until `stop`. An outage of the database changes nothing.
    pub async fn watch_constraint(self, stop: CancellationToken) -> anyhow::Result<()> {
        while !stop.is_cancelled() {
            let found = self.find_constraint().await;
            let pause = if found.is_ok() { PERIOD } else { AGAIN };
            if let Ok(exists) = found {
                let existed = self.guard.0.swap(exists, Ordering::Relaxed);
                metrics::guarded(exists);
                if existed && !exists {
                    tracing::error!(
                        "constraint no_overlap_bookings is missing; bookings are refused"
                    );
                } else if exists && !existed {
                    tracing::info!("constraint no_overlap_bookings is back");
                }
            }
            let _ = stop.run_until_cancelled(sleep(pause)).await;
        }
        Ok(())
    }

    async fn find_constraint(&self) -> sqlx::Result<bool> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::overlap_constraint_exists(&mut conn).await
    }
}
