//! What runs by itself.

use std::time::Duration;

use kit::{jobs, outbox};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;

use crate::app::Incidents;
use crate::channels::Channels;

/// How late a missed target may be noticed.
const CLOCKS: Duration = Duration::from_secs(15);

/// Starts every job, until `stop`. To be called inside a tokio runtime.
pub fn start(incidents: &Incidents, channels: Channels, db: &PgPool, stop: &CancellationToken) {
    tokio::spawn(jobs::housekeeping(db.clone(), stop.clone()));
    tokio::spawn(outbox::relay(db.clone(), channels, stop.clone()));
    tokio::spawn(incidents.clone().watch(stop.clone()));
    let clocks = incidents.clone();
    tokio::spawn(jobs::every("targets", CLOCKS, db.clone(), stop.clone(), move || {
        let incidents = clocks.clone();
        async move {
            incidents.mark_breaches().await?;
            incidents.remind().await?;
            Ok(())
        }
    }));
}
