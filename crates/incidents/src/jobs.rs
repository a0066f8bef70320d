//! What runs by itself.

use std::sync::Arc;
use std::time::Duration;

use kit::{jobs, outbox};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::app::Incidents;
use crate::channels::Channels;
use crate::domain::Missing;

/// How late a missed target may be noticed.
const CLOCKS: Duration = Duration::from_secs(15);

/// How late people may be reminded of an action.
const ACTIONS: Duration = Duration::from_secs(10 * 60);

/// How late a silence may be noticed.
const SILENCE: Duration = Duration::from_secs(5);

/// How often Prometheus is asked about alerts that it did not know.
const VERIFIED: Duration = Duration::from_secs(5);

/// How often the sources of alerts are asked what they still know.
const FORGOTTEN: Duration = Duration::from_secs(15);

/// How often old deliveries are dropped.
const RETENTION: Duration = Duration::from_secs(60 * 60);

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
            incidents.give_up_rollbacks().await?;
            Ok(())
        }
    }));
    let actions = incidents.clone();
    tokio::spawn(jobs::every("actions", ACTIONS, db.clone(), stop.clone(), move || {
        let incidents = actions.clone();
        async move {
            incidents.remind_of_actions().await?;
            Ok(())
        }
    }));
    let (watchdog, since) = (incidents.clone(), incidents.now());
    tokio::spawn(jobs::every("watchdog", SILENCE, db.clone(), stop.clone(), move || {
        let incidents = watchdog.clone();
        async move {
            incidents.watch_silence(since).await?;
            Ok(())
        }
    }));
    let verifying = incidents.clone();
    tokio::spawn(jobs::every("verify", VERIFIED, db.clone(), stop.clone(), move || {
        let incidents = verifying.clone();
        async move {
            incidents.verify().await?;
            Ok(())
        }
    }));
    let (asking, missing) = (incidents.clone(), Arc::new(Mutex::new(Missing::default())));
    tokio::spawn(jobs::every("forgotten", FORGOTTEN, db.clone(), stop.clone(), move || {
        let (incidents, missing) = (asking.clone(), missing.clone());
        async move {
            incidents.end_forgotten(&mut *missing.lock().await).await?;
            Ok(())
        }
    }));
    let retention = incidents.clone();
    tokio::spawn(jobs::every("retention", RETENTION, db.clone(), stop.clone(), move || {
        let incidents = retention.clone();
        async move {
            let deliveries = incidents.forget_deliveries().await?;
            tracing::info!(deliveries, "old deliveries dropped");
            Ok(())
        }
    }));
}
