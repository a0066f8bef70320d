//! Alerts sent by the process itself.
//!
//! Rules in Prometheus watch rates; an alert from here is about one event and has its stack. Raising an alert
//! never waits and never fails: it goes into a bounded queue. Alerts that are too many, repeated or
//! undeliverable are counted.

mod client;
mod limit;
mod slack;

use std::borrow::Cow;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use prometheus::IntCounterVec;
use secrecy::ExposeSecret as _;
use tokio::sync::mpsc;

use crate::Config;
use crate::metrics::registry::counter_vec;
pub(crate) use client::Client;
use limit::{Limit, Verdict};

/// Maximum queued alerts.
const QUEUE: usize = 256;

static ALERTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "alerts_total",
        "Alerts raised: sent, failed, repeated (sent recently), limited (too many), dropped \
         (the queue was full) and off (alerting is disabled).",
        &["level", "result"],
    )
});

static QUEUED: OnceLock<mpsc::Sender<Message>> = OnceLock::new();

enum Message {
    Alert(Box<Alert>),
    Flush(SyncSender<()>),
}

/// The urgency of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Everybody or some data is at risk: react now.
    Critical,
    /// Something is broken: react today.
    Error,
    /// Something may break.
    Warning,
    Info,
}

impl Level {
    const ALL: [Self; 4] = [Self::Critical, Self::Error, Self::Warning, Self::Info];

    /// Returns the level's name in messages and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// An event that people should learn of at once. It leaves the system, so it must contain no secrets and no
/// personal data.
#[derive(Clone, Debug)]
pub struct Alert {
    level: Level,
    title: Cow<'static, str>,
    message: String,
    path: String,
    stack: String,
    metadata: Vec<(&'static str, String)>,
    at: SystemTime,
    /// The number of equal alerts suppressed before this one.
    repeated: u64,
}

impl Alert {
    /// Creates an alert with a title and one sentence.
    pub fn new(
        level: Level,
        title: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let (title, message, at) = (title.into(), message.into(), SystemTime::now());
        let (path, stack, metadata) = (String::new(), String::new(), Vec::new());
        Self { level, title, message, path, stack, metadata, at, repeated: 0 }
    }

    /// Creates an alert that requires a reaction now.
    pub fn critical(title: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Level::Critical, title, message)
    }

    /// Creates an alert about something broken.
    pub fn error(title: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Level::Error, title, message)
    }

    /// Creates an alert about something that may break.
    pub fn warning(title: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, title, message)
    }

    /// Creates an alert that requires no reaction.
    pub fn info(title: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Level::Info, title, message)
    }

    /// Adds the place: a matched route, a job, an aggregate. Alerts with the same title and path are
    /// repetitions.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Adds the stack of a panic. It is cut to 1,000 characters when sent.
    pub fn stack(mut self, stack: impl Into<String>) -> Self {
        self.stack = stack.into();
        self
    }

    /// Adds a fact, unless it is empty.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.metadata.push((name, value));
        }
        self
    }

    /// Queues the alert. Never waits.
    pub fn raise(self) {
        let level = self.level;
        match QUEUED.get() {
            None => count(level, "off"),
            Some(queue) => {
                if queue.try_send(Message::Alert(Box::new(self))).is_err() {
                    count(level, "dropped");
                }
            }
        }
    }
}

/// Returns the client of the configured webhook, if alerting is enabled.
pub(crate) fn client(config: &Config) -> anyhow::Result<Option<Client>> {
    let url = config.slack_webhook_url.as_ref().map(|url| url.expose_secret().trim());
    let url = url.filter(|url| config.alerting_enabled && !url.is_empty());
    url.map(Client::new).transpose().context("SLACK_WEBHOOK_URL")
}

/// Starts the task that sends alerts.
pub(crate) fn start(service: &'static str, client: Option<Client>) {
    for level in Level::ALL {
        for result in ["sent", "failed", "repeated", "limited", "dropped", "off"] {
            ALERTS.with_label_values(&[level.as_str(), result]);
        }
    }
    if let Some(client) = client {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(send(service, client, receiver));
        let _ = QUEUED.set(sender); // telemetry starts once per process
    }
}

/// Waits until all alerts so far were sent or given up.
pub(crate) fn flush(patience: Duration) {
    let (done, flushed) = sync_channel(1);
    if let Some(queue) = QUEUED.get()
        && queue.try_send(Message::Flush(done)).is_ok()
    {
        let _ = flushed.recv_timeout(patience);
    }
}

async fn send(service: &'static str, client: Client, mut queue: mpsc::Receiver<Message>) {
    let mut limit = Limit::new(Instant::now());
    while let Some(message) = queue.recv().await {
        let mut alert = match message {
            Message::Alert(alert) => alert,
            Message::Flush(done) => {
                let _ = done.try_send(());
                continue;
            }
        };
        let result = match limit.admit((alert.title.clone(), alert.path.clone()), Instant::now()) {
            Verdict::Repeated => "repeated",
            Verdict::Limited => "limited",
            Verdict::Send { repeated } => {
                alert.repeated = repeated;
                match client.post(&slack::message(service, &alert)).await {
                    Ok(()) => "sent",
                    Err(why) => {
                        tracing::warn!(title = &*alert.title, why, "alert not delivered");
                        "failed"
                    }
                }
            }
        };
        count(alert.level, result);
    }
}

fn count(level: Level, result: &str) {
    ALERTS.with_label_values(&[level.as_str(), result]).inc();
}
