//! Alerts: what people should hear of at once, from inside the process.
//!
//! Rules in Prometheus watch rates; an alert from here names the one event and brings its stack.
//! Raising one never waits and never fails: it goes into a bounded queue, and whatever is too much, too
//! often or cannot be delivered is counted.

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

use crate::{Config, metrics};
pub(crate) use client::Client;
use limit::{Limit, Verdict};

/// Alerts that may wait; more at once say nothing new.
const QUEUE: usize = 256;

static ALERTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "alerts_total",
        "Alerts raised: sent, failed, repeated (said a short while ago), limited (too many), dropped \
         (the queue was full) and off (nobody is told).",
        &["level", "result"],
    )
});

static QUEUED: OnceLock<mpsc::Sender<Message>> = OnceLock::new();

enum Message {
    Alert(Box<Alert>),
    Flush(SyncSender<()>),
}

/// How urgent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Level {
    /// Data or everybody is at risk: now.
    Critical,
    /// Something is broken: today.
    Error,
    /// Something will break.
    Warning,
    Info,
}

impl Level {
    const ALL: [Self; 4] = [Self::Critical, Self::Error, Self::Warning, Self::Info];

    /// Its name in a message and a metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// Something that people should hear of. No secrets and nothing about a person: it leaves the system.
#[derive(Clone, Debug)]
pub struct Alert {
    level: Level,
    title: Cow<'static, str>,
    message: String,
    path: String,
    stack: String,
    metadata: Vec<(&'static str, String)>,
    at: SystemTime,
    /// How many like it were not sent before it.
    repeated: u64,
}

impl Alert {
    /// An alert with a title and one sentence.
    pub fn new(
        level: Level,
        title: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let (title, message, at) = (title.into(), message.into(), SystemTime::now());
        let (path, stack, metadata) = (String::new(), String::new(), Vec::new());
        Self { level, title, message, path, stack, metadata, at, repeated: 0 }
    }

    /// An alert that somebody must see to now.
    pub fn critical(title: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Level::Critical, title, message)
    }

    /// An alert of something that is broken.
    pub fn error(title: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Level::Error, title, message)
    }

    /// An alert of something that may break.
    pub fn warning(title: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, title, message)
    }

    /// An alert that asks for nothing.
    pub fn info(title: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self::new(Level::Info, title, message)
    }

    /// Adds where it happened: a matched route, a job, an aggregate. Alerts of one title and path are the
    /// same one again.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    /// Adds the stack of a panic. It is cut to 1,000 characters when it is sent.
    pub fn stack(mut self, stack: impl Into<String>) -> Self {
        self.stack = stack.into();
        self
    }

    /// Adds one more fact. An empty one is left out.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.metadata.push((name, value));
        }
        self
    }

    /// Hands the alert over to be sent. Never waits.
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

/// The way to whoever is told, if anybody is.
pub(crate) fn client(config: &Config) -> anyhow::Result<Option<Client>> {
    let url = config.slack_webhook_url.as_ref().map(|url| url.expose_secret().trim());
    let url = url.filter(|url| config.alerting_enabled && !url.is_empty());
    url.map(Client::new).transpose().context("SLACK_WEBHOOK_URL")
}

/// Starts the sender.
pub(crate) fn start(service: &'static str, client: Option<Client>) {
    for level in Level::ALL {
        for result in ["sent", "failed", "repeated", "limited", "dropped", "off"] {
            ALERTS.with_label_values(&[level.as_str(), result]);
        }
    }
    if let Some(client) = client {
        let (sender, receiver) = mpsc::channel(QUEUE);
        tokio::spawn(send(service, client, receiver));
        let _ = QUEUED.set(sender); // a process starts telemetry once
    }
}

/// Waits until the alerts so far were sent, or given up.
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
                        tracing::warn!(title = &*alert.title, why, "an alert was not delivered");
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
