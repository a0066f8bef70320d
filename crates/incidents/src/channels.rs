//! The channels that notify people. A notice is stored in the transaction of its event; the outbox keeps the order
//! within each channel and retries for ever, so that a failing channel delays no other.

mod http;
mod mail;
mod slack;
mod webhook;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use kit::breaker::{self, Breaker};
use kit::outbox::{Deliver, Event};
use secrecy::SecretString;

pub use http::Address;

use crate::app::Incidents;
use crate::domain::{Channel, Notice};
use crate::metrics;
use mail::Mail;
use slack::Slack;
use webhook::Webhook;

/// The configured channels. Cheap to clone.
#[derive(Clone)]
pub struct Channels {
    incidents: Incidents,
    sinks: Arc<HashMap<Channel, Sink>>,
}

/// The addresses of the channels. A channel without an address is not configured.
#[derive(Clone, Default)]
pub struct Addresses {
    pub slack: Vec<(Channel, Address)>,
    /// The secret signs the messages.
    pub webhooks: Vec<(Channel, Address, SecretString)>,
    pub smtp: Option<SecretString>,
    pub mail_from: String,
    pub mail_to: Vec<(Channel, Vec<String>)>,
    /// The console's URL, for links.
    pub console: String,
}

struct Sink {
    transport: Transport,
    breaker: Breaker,
}

enum Transport {
    Slack(Slack),
    Mail(Mail),
    Webhook(Webhook),
    Log,
}

impl Channels {
    /// Opens the configured channels and the log. Fails when an address is invalid.
    pub fn new(incidents: Incidents, addresses: &Addresses) -> anyhow::Result<Self> {
        let mut transports = vec![(Channel::Log, Transport::Log)];
        let client = http::Client::new()?;
        let console = &addresses.console;
        for (channel, address) in &addresses.slack {
            let slack = Slack::new(client.clone(), address.clone(), console);
            transports.push((*channel, Transport::Slack(slack)));
        }
        for (channel, address, secret) in &addresses.webhooks {
            let webhook = Webhook::new(client.clone(), address.clone(), secret, console);
            transports.push((*channel, Transport::Webhook(webhook)));
        }
        if let Some(smtp) = &addresses.smtp {
            for (channel, to) in &addresses.mail_to {
                let mail = Mail::new(smtp, &addresses.mail_from, to, console)?;
                transports.push((*channel, Transport::Mail(mail)));
            }
        }
        let sink = |(channel, transport): (Channel, Transport)| {
            let breaker = Breaker::new(channel.as_str(), PATIENCE);
            metrics::channel(channel);
            (channel, Sink { transport, breaker })
        };
        Ok(Self { incidents, sinks: Arc::new(transports.into_iter().map(sink).collect()) })
    }
}

/// A failing channel is tried again soon: people wait for its messages.
const PATIENCE: breaker::Config = breaker::Config {
    window: Duration::from_secs(30),
    max_failures: 3,
    failure_ratio: 0.5,
    slow: Duration::from_secs(6),
    reset_timeout: Duration::from_secs(3),
    probes: 1,
};

impl Deliver for Channels {
    async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        let name =
            event.aggregate.strip_prefix("channel ").context("the event names no channel")?;
        let channel: Channel = name.parse()?;
        let notice: Notice = serde_json::from_value(event.payload.clone())?;
        let Some(sink) = self.sinks.get(&channel) else {
            // It has been removed from the configuration.
            tracing::warn!(channel = name, number = notice.number, "channel is not configured");
            return Ok(());
        };
        if self.incidents.was_told(event.id).await? {
            return Ok(());
        }
        let sent = sink.breaker.call(sink.send(event, &notice), Result::is_err).await?;
        metrics::told(channel, sent.is_ok());
        // Any failure counts as an outage: the channel is retried until somebody has repaired it.
        sent.map_err(|why| anyhow::Error::new(io::Error::other(why)))?;
        self.incidents.record_told(event.id, channel, &notice).await?;
        Ok(())
    }
}

impl Sink {
    /// Sends a notice. The error contains no address: addresses are secrets.
    async fn send(&self, event: &Event, notice: &Notice) -> Result<(), String> {
        match &self.transport {
            Transport::Slack(slack) => slack.send(notice).await,
            Transport::Webhook(webhook) => webhook.send(event, notice).await,
            Transport::Mail(mail) => mail.send(event.id, notice).await,
            Transport::Log => {
                let (news, text) = (notice.news.as_str(), notice.body());
                tracing::warn!(
                    news,
                    severity = notice.severity.as_str(),
                    text,
                    "{}",
                    notice.subject()
                );
                Ok(())
            }
        }
    }
}

/// Returns the URL of the incident's page.
fn link(console: &str, notice: &Notice) -> String {
    format!("{}/console/incidents/{}", console.trim_end_matches('/'), notice.incident)
}
