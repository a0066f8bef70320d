//! The process: the application and its parts, how they are opened, served and run.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use kit::caller::Verifier;
use kit::{Base, Jobs, outbox};
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::sync::Mutex;
use tonic::service::Routes;

use crate::app::Incidents;
use crate::channels::Channels;
use crate::config::{Command, Config};
use crate::domain::Missing;
use crate::http::Site;
use crate::{grpc, http, report};

/// The process: the use cases, the channels, and the callers it accepts.
#[derive(Clone)]
pub struct Service {
    db: PgPool,
    app: Incidents,
    channels: Channels,
    site: Site,
    verifier: Verifier,
}

impl kit::Service for Service {
    const NAME: &'static str = "incidents";
    const MIGRATOR: &'static Migrator = &crate::MIGRATOR;
    type Config = Config;

    async fn open(base: Base, config: &Config) -> anyhow::Result<Self> {
        let Base { db, redis, clock } = base;
        let app = Incidents::new(db.clone(), clock.clone(), config.policy()?);
        let channels = Channels::new(app.clone(), &config.notify.addresses())?;
        let verifier = Verifier::from_auth(&config.auth, clock)?.following(&redis);
        Ok(Self { db, app, channels, site: config.site()?, verifier })
    }

    fn http(&self) -> anyhow::Result<Router> {
        http::router(self.app.clone(), self.site.clone(), self.verifier.clone())
    }

    fn grpc(&self) -> Routes {
        grpc::routes(self.app.clone(), self.verifier.clone())
    }

    fn jobs(&self, jobs: &mut Jobs) {
        let app = &self.app;
        let seconds = Duration::from_secs;
        jobs.always("outbox", self, |service, stop| async move {
            outbox::relay(service.db, service.channels, stop).await;
            Ok(())
        });
        jobs.always("changes", app, |app, stop| async move {
            app.watch(stop).await;
            Ok(())
        });
        // A missed target is noticed this late.
        jobs.every("targets", seconds(15), app, |app| async move {
            app.mark_breaches().await?;
            app.remind().await?;
            app.give_up_rollbacks().await.map(drop)
        });
        // Actions are due by the day.
        jobs.every("actions", seconds(10 * 60), app, |app| async move {
            app.remind_of_actions().await.map(drop)
        });
        // Silence is noticed this late.
        let since = app.now();
        jobs.every("watchdog", seconds(5), app, move |app| async move {
            app.watch_silence(since).await
        });
        // An alert that reaches Prometheus later is verified this late.
        jobs.every("verify", seconds(5), app, |app| async move { app.verify().await.map(drop) });
        // Far more often than the patience with unknown alerts.
        let missing = Arc::new(Mutex::new(Missing::default()));
        jobs.every("forgotten", seconds(15), app, move |app| {
            let missing = missing.clone();
            async move { app.end_forgotten(&mut *missing.lock().await).await.map(drop) }
        });
        // Old deliveries are deleted a thousand at a time.
        jobs.every("retention", seconds(60 * 60), app, |app| async move {
            let deleted = app.forget_deliveries().await;
            deleted.map(|deliveries| tracing::info!(deliveries, "old deliveries deleted"))
        });
    }

    async fn command(self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Serve => Ok(()),
            Command::Report { month } => report::print(&self.app, month).await,
        }
    }
}
