//! Without the constraint that keeps bookings apart, nothing else would: so nobody takes a slot without it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit::postgres;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Bookings, Error};
use crate::{metrics, store};

/// How old the knowledge may be that the constraint is there.
const PERIOD: Duration = Duration::from_secs(3);

/// The pause before the next look when the database did not answer.
const AGAIN: Duration = Duration::from_millis(500);

/// Whether the constraint was there when somebody last looked. Cheap to clone.
#[derive(Clone)]
pub(super) struct Guard(Arc<AtomicBool>);

impl Guard {
    /// Until somebody has looked, a migrated schema is what it should be.
    pub(super) fn assumed() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// For whoever is about to take a slot.
    pub(super) fn stands(&self) -> Result<(), Error> {
        if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err(Error::Unguarded) }
    }
}

impl Bookings {
    /// Looks for the constraint until `stop`. A database that is away says nothing about it.
    pub(super) async fn keep_guard(&self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let looked = self.look_for_guard().await;
            let pause = if looked.is_ok() { PERIOD } else { AGAIN };
            if let Ok(stands) = looked {
                let stood = self.guard.0.swap(stands, Ordering::Relaxed);
                metrics::guarded(stands);
                if stood && !stands {
                    tracing::error!(
                        "no_overlap_bookings is gone: nobody can book until it is back"
                    );
                } else if stands && !stood {
                    tracing::info!("no_overlap_bookings is back");
                }
            }
            let _ = stop.run_until_cancelled(sleep(pause)).await;
        }
    }

    async fn look_for_guard(&self) -> sqlx::Result<bool> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::overlap_guard_stands(&mut conn).await
    }
}
