//! The process: the application, its transports and its jobs.

use std::time::Duration;

use axum::Router;
use kit::{Base, Jobs};
use sqlx::migrate::Migrator;
use tonic::service::Routes;

use crate::app::Auth;
use crate::config::{Command, Config};
use crate::hasher::Hasher;
use crate::keyring::Keyring;
use crate::mailer::Mailer;
use crate::{MIGRATOR, grpc, http};

/// A new key signs after two minutes, so its age of 30 days need not be exact.
const TEND_KEYS: Duration = Duration::from_mins(10);

/// Retention is counted in days.
const DELETE_EXPIRED: Duration = Duration::from_mins(10);

/// The process: the application, and the mailer that its outbox delivers to.
#[derive(Clone)]
pub struct Service {
    pub auth: Auth,
    pub mailer: Mailer,
}

impl kit::Service for Service {
    const NAME: &'static str = "auth";
    const MIGRATOR: &'static Migrator = &MIGRATOR;
    type Config = Config;

    async fn open(base: Base, config: &Config) -> anyhow::Result<Self> {
        let Base { db, redis, clock } = base;
        let keyring = Keyring::new(&config.auth_key_encryption_key)?;
        let peppers = config.password_peppers.clone().unwrap_or_default();
        let hasher = Hasher::new().peppered(peppers);
        let auth = Auth::open(db, redis, clock, hasher, keyring).await?;
        Ok(Self { auth, mailer: Mailer::new(&config.mail)? })
    }

    fn http(&self) -> anyhow::Result<Router> {
        Ok(http::router(self.auth.clone()))
    }

    fn grpc(&self) -> Routes {
        grpc::routes(self.auth.clone())
    }

    fn jobs(&self, jobs: &mut Jobs) {
        jobs.every(
            "tend_keys",
            TEND_KEYS,
            &self.auth,
            |auth| async move { auth.tend_keys().await },
        );
        jobs.every("forget", DELETE_EXPIRED, &self.auth, |auth| async move {
            auth.delete_expired().await
        });
        // In every replica, because each is scraped by itself.
        jobs.always("count_sessions", &self.auth, |auth, stop| async move {
            auth.set_gauges(&stop).await
        });
        // In every replica, because each must refuse the tokens of ended sessions without Redis, too.
        jobs.always("publish_revocations", &self.auth, |auth, stop| async move {
            auth.publish_revocations(&stop).await;
            Ok(())
        });
        // In every replica, because each signs and verifies by itself.
        jobs.always("reload_keys", &self.auth, |auth, stop| async move {
            auth.reload_keys(&stop).await
        });
        jobs.always("outbox", self, |Self { auth, mailer }, stop| async move {
            auth.deliver_mail(mailer, stop).await;
            Ok(())
        });
    }

    async fn command(self, command: Command) -> anyhow::Result<()> {
        self.auth.operate(command).await
    }
}
