//! The process: the application, and everything that it is opened with.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use kit::caller::Verifier;
use kit::{Base, Jobs};
use sqlx::migrate::Migrator;
use tonic::service::Routes;

use crate::app::{Bookings, Rezone};
use crate::config::{Command, Config};
use crate::domain::Owner;
use crate::peers::{AuthOverGrpc, Line, Pace, PointsOverGrpc};
use crate::{MIGRATOR, grpc, http};

/// Every reader treats an expired hold as expired already. The job keeps the table and its index small.
const EXPIRE: Duration = Duration::from_secs(30);

/// A reminder is sent a day before, so a minute does not matter.
const REMIND: Duration = Duration::from_secs(60);

/// Only rows of an older version wait for this job, and bookings made while their merchant was being closed.
const CATCH_UP: Duration = Duration::from_secs(60);

/// A booking that was completed a year ago can wait.
const ARCHIVE: Duration = Duration::from_secs(60 * 60);

/// The application, and the check of its callers.
#[derive(Clone)]
pub struct Service {
    bookings: Bookings,
    verifier: Verifier,
}

impl kit::Service for Service {
    const NAME: &'static str = "booking";
    const MIGRATOR: &'static Migrator = &MIGRATOR;
    type Config = Config;

    async fn open(base: Base, config: &Config) -> anyhow::Result<Self> {
        let Base { db, redis, clock } = base;
        let currency = config.points_currency.clone();
        let points = PointsOverGrpc::new(&config.points_grpc_url, &config.auth, currency.clone())?;
        let grants = AuthOverGrpc::new(&config.auth)?;
        let pace = Pace::new(redis.clone(), config.line.line_messages_per_second);
        let bookings = Bookings::new(db, clock.clone(), Arc::new(points))
            .with_grants(Arc::new(grants), currency)
            .with_limits(config.holds_per_member, config.bookings_per_member)
            .with_replica(config.replica()?)
            .with_seal(config.line.seal()?)
            .with_line((Line::new(&config.line.line_api_url)?, pace));
        let verifier = Verifier::from_auth(&config.auth, clock)?.following(&redis);
        Ok(Self { bookings, verifier })
    }

    fn http(&self) -> anyhow::Result<Router> {
        Ok(http::router(self.bookings.clone(), self.verifier.clone()))
    }

    fn grpc(&self) -> Routes {
        grpc::routes(self.bookings.clone(), self.verifier.clone())
    }

    fn jobs(&self, jobs: &mut Jobs) {
        let app = &self.bookings;
        jobs.every("expire_holds", EXPIRE, app, |app| async move {
            app.expire_overdue().await.map(drop)
        });
        jobs.every("reminders", REMIND, app, |app| async move { app.remind().await.map(drop) });
        jobs.every("catch_up", CATCH_UP, app, |app| async move { app.catch_up().await });
        jobs.every("archive", ARCHIVE, app, |app| async move { app.archive().await.map(drop) });
        jobs.always("outbox", app, Bookings::publish_events);
        jobs.always("sagas", app, Bookings::drive_sagas);
        jobs.always("notifications", app, Bookings::send_notifications);
        jobs.always("constraint", app, Bookings::watch_constraint);
    }

    async fn command(self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Seed { owner } => self.bookings.seed(Owner::new(owner)).await.map(drop),
            Command::Rezone { apply: false } => self.bookings.rezone_and_log(Rezone::Report).await,
            Command::Rezone { apply: true } => self.bookings.rezone_and_log(Rezone::Apply).await,
        }
    }
}
