use std::time::Duration;

use axum::Router;
use kit::Base;
use kit::caller::Verifier;
use kit::jobs::Jobs;
use kit::redis::Redis;
use sqlx::migrate::Migrator;
use tonic::service::Routes;

use crate::app::Points;
use crate::config::{Command, Config};
use crate::{grpc, http};

/// The process: the application, and the verifier of its callers.
#[derive(Clone)]
pub struct Service {
    points: Points,
    verifier: Verifier,
}

impl kit::Service for Service {
    const NAME: &'static str = "points";
    const MIGRATOR: &'static Migrator = &crate::MIGRATOR;
    type Config = Config;

    async fn open(base: Base, config: &Config) -> anyhow::Result<Self> {
        let verifier =
            Verifier::from_auth(&config.auth, base.clock.clone())?.following(&base.redis);
        let secret = &config.auth.service_client_secret;
        let queue = Redis::patient(&config.redis, Self::NAME, "fallback-queue", secret)?;
        let points = Points::with_policy(base.db, base.redis, base.clock, config.policy()?);
        let points = points.with_fallback(config.redis.breaker(), queue);
        Ok(Self { points, verifier })
    }

    fn http(&self) -> anyhow::Result<Router> {
        Ok(http::router(self.points.clone(), self.verifier.clone()))
    }

    fn grpc(&self) -> Routes {
        grpc::routes(self.points.clone(), self.verifier.clone())
    }

    fn jobs(&self, jobs: &mut Jobs) {
        let second = Duration::from_secs(1);
        // Members see held points again a second after the hold has expired.
        jobs.every("expire_holds", second, &self.points, |points| async move {
            points.expire_holds().await
        });
        // A queued earning is late already. To read an empty queue is one command to Redis.
        jobs.every("apply_queued", second, &self.points, |points| async move {
            points.apply_queued().await
        });
        // On every replica, because none can lead while the database is away.
        jobs.always("measure_queue", &self.points, |points, stop| async move {
            points.measure_queue(stop).await;
            Ok(())
        });
        // Often enough for an alert before a merchant's budget is exhausted.
        let half_a_minute = Duration::from_secs(30);
        jobs.every("measure_issuance", half_a_minute, &self.points, |points| async move {
            points.measure_issuance().await
        });
        // The audit reads every account and every entry.
        jobs.every("reconcile", Duration::from_hours(1), &self.points, |points| async move {
            points.reconcile().await.map(drop)
        });
    }

    async fn command(self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Reconcile => {
                let broken = self.points.reconcile().await?.broken;
                anyhow::ensure!(
                    broken == 0,
                    "{broken} rules of the ledger are broken: see the log"
                );
                Ok(())
            }
        }
    }
}
