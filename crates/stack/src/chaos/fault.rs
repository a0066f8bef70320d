//! The faults: real ones, in processes that run.

use anyhow::{Context, ensure};
use clap::ValueEnum;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use super::watch::Watch;
use crate::board;
use crate::parts::postgres;
use crate::settings::Settings;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    RedisDown,
    PostgresSlow,
    PointsPanic,
    BookingErrors,
    LineDown,
    AlertStorm,
}

/// A fault that is there, and how to take it away.
pub(super) enum Injected {
    /// Redis stands still.
    Paused,
    /// A transaction holds what every request to points needs.
    Locked(Box<PgConnection>),
    /// The switch of a service.
    Switched(&'static str),
    /// LINE's stand-in.
    Moody,
    /// Alerts of our own.
    Storm,
}

impl Fault {
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::RedisDown => {
                "redis-down: the Redis process stands still (SIGSTOP); sockets stay open, nothing answers."
            }
            Self::PostgresSlow => {
                "postgres-slow: a transaction holds the accounts' table; what reads it waits, and gives up."
            }
            Self::PointsPanic => {
                "points-panic: every request to points panics, in the process that runs."
            }
            Self::BookingErrors => {
                "booking-errors: every request to booking fails with 500, in the process that runs."
            }
            Self::LineDown => {
                "line-down: LINE answers 500 to every message while members book and cancel."
            }
            Self::AlertStorm => {
                "alert-storm: 300 alerts of three causes reach Alertmanager at once. Prometheus knows none of them: the \
                 incidents are unverified, and on no public page."
            }
        }
    }

    /// The alerts that it may cause, by name.
    pub(super) fn alerts(self) -> &'static [&'static str] {
        match self {
            Self::RedisDown => &["CircuitBreakerOpen", "RedisDown"],
            Self::PostgresSlow => {
                &["HighErrorRate", "HighLatency", "RollbackErrors", "RollbackLatency"]
            }
            Self::PointsPanic => &["PanicDetected"],
            Self::BookingErrors => &["HighErrorRate", "HighBookingErrorRate", "RollbackErrors"],
            Self::LineDown => &["LineFailing"],
            Self::AlertStorm => &["ChaosStorm"],
        }
    }

    pub(super) async fn inject(
        self,
        settings: &Settings,
        watch: &Watch,
    ) -> anyhow::Result<Injected> {
        match self {
            Self::RedisDown => {
                signal(settings, "redis", Signal::SIGSTOP)?;
                Ok(Injected::Paused)
            }
            Self::PostgresSlow => Ok(Injected::Locked(Box::new(lock(settings).await?))),
            Self::PointsPanic => switch(settings, "points", "panic").await,
            Self::BookingErrors => switch(settings, "booking", "errors").await,
            Self::LineDown => {
                mood(watch, &json!({ "answers": 500 })).await?;
                Ok(Injected::Moody)
            }
            Self::AlertStorm => {
                watch.storm(true).await?;
                Ok(Injected::Storm)
            }
        }
    }
}

impl Injected {
    pub(super) async fn remove(self, settings: &Settings, watch: &Watch) -> anyhow::Result<()> {
        match self {
            Self::Paused => signal(settings, "redis", Signal::SIGCONT),
            Self::Locked(connection) => Ok(connection.close().await?),
            Self::Switched(service) => switch(settings, service, "none").await.map(|_| ()),
            Self::Moody => mood(watch, &json!({})).await,
            Self::Storm => watch.storm(false).await,
        }
    }
}

fn signal(settings: &Settings, name: &str, signal: Signal) -> anyhow::Result<()> {
    let state = board::running(&settings.place).context("nothing is running")?;
    let part = state.parts.into_iter().find(|part| part.name == name);
    let process =
        part.and_then(|part| part.process).with_context(|| format!("{name} does not run"))?;
    process.signal(signal);
    Ok(())
}

/// Held until the connection closes, at the latest with this program.
async fn lock(settings: &Settings) -> anyhow::Result<PgConnection> {
    let url = postgres::url(&settings.place, settings.ports.postgres, "points", "owner")?;
    let mut connection = PgConnection::connect(&url).await?;
    for statement in [
        "SET statement_timeout = 0",
        "SET lock_timeout = '10s'",
        "SET idle_in_transaction_session_timeout = 0",
        "BEGIN",
        "LOCK TABLE account IN ACCESS EXCLUSIVE MODE",
    ] {
        connection.execute(statement).await.context(statement)?;
    }
    Ok(connection)
}

/// Sets the reaction of LINE's stand-in to messages from now on.
async fn mood(watch: &Watch, mood: &Value) -> anyhow::Result<()> {
    let url = format!("http://127.0.0.1:{}/mood", watch.ports.line);
    let answer = watch.client.put(url).json(mood).send().await?;
    ensure!(answer.status().is_success(), "LINE's stand-in answered {}", answer.status());
    Ok(())
}

/// The switch that debug builds have on their admin port.
async fn switch(
    settings: &Settings,
    service: &'static str,
    to: &'static str,
) -> anyhow::Result<Injected> {
    let port = settings.ports.service(service).admin;
    let url = format!("http://127.0.0.1:{port}/fault");
    let token = settings.place.secret("fault_token")?;
    let answer = reqwest::Client::new().put(url).bearer_auth(token).body(to).send().await?;
    ensure!(
        answer.status() == 200,
        "{service} has no fault switch ({}): it is in debug builds only",
        answer.status()
    );
    Ok(Injected::Switched(service))
}
