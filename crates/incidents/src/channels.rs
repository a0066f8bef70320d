//! The ways to tell people. What they are told was stored in the transaction in which it happened; the
//! outbox keeps the order within each channel and tries for ever, so that a dead one stops no other.

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

/// Every channel that is configured. Cheap to clone.
#[derive(Clone)]
pub struct Channels {
    incidents: Incidents,
    sinks: Arc<HashMap<Channel, Sink>>,
}

/// What is needed to reach people; what is none is not there.
#[derive(Clone, Default)]
pub struct Addresses {
    pub slack: Vec<(Channel, Address)>,
    /// Signed with the secret.
    pub webhooks: Vec<(Channel, Address, SecretString)>,
    pub smtp: Option<SecretString>,
    pub mail_from: String,
    pub mail_to: Vec<(Channel, Vec<String>)>,
    /// Where the console is, for links.
    pub console: String,
}

struct Sink {
    way: Way,
    breaker: Breaker,
}

enum Way {
    Slack(Slack),
    Mail(Mail),
    Webhook(Webhook),
    Log,
}

impl Channels {
    /// Those that are configured, and the log. An address that is none is an error.
    pub fn new(incidents: Incidents, addresses: &Addresses) -> anyhow::Result<Self> {
        let mut ways = vec![(Channel::Log, Way::Log)];
        let client = http::Client::new()?;
        let console = &addresses.console;
        for (channel, address) in &addresses.slack {
            let slack = Slack::new(client.clone(), address.clone(), console);
            ways.push((*channel, Way::Slack(slack)));
        }
        for (channel, address, secret) in &addresses.webhooks {
            let webhook = Webhook::new(client.clone(), address.clone(), secret, console);
            ways.push((*channel, Way::Webhook(webhook)));
        }
        if let Some(smtp) = &addresses.smtp {
            for (channel, to) in &addresses.mail_to {
                let mail = Mail::new(smtp, &addresses.mail_from, to, console)?;
                ways.push((*channel, Way::Mail(mail)));
            }
        }
        let sink = |(channel, way): (Channel, Way)| {
            let breaker = Breaker::new(channel.as_str(), PATIENCE);
            metrics::channel(channel);
            (channel, Sink { way, breaker })
        };
        Ok(Self { incidents, sinks: Arc::new(ways.into_iter().map(sink).collect()) })
    }
}

/// A channel that fails is asked again soon: people wait for it.
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
        let name = event.aggregate.strip_prefix("channel ").context("no channel")?;
        let channel: Channel = name.parse()?;
        let notice: Notice = serde_json::from_value(event.payload.clone())?;
        let Some(sink) = self.sinks.get(&channel) else {
            // Taken out of the configuration since.
            tracing::warn!(channel = name, number = notice.number, "nobody to tell");
            return Ok(());
        };
        if self.incidents.was_told(event.id).await? {
            return Ok(());
        }
        let sent = sink.breaker.call(sink.send(event, &notice), Result::is_err).await?;
        metrics::told(channel, sent.is_ok());
        // Whatever it says, the channel is away: it is tried until somebody has mended it.
        sent.map_err(|why| anyhow::Error::new(io::Error::other(why)))?;
        self.incidents.record_told(event.id, channel, &notice).await?;
        Ok(())
    }
}

impl Sink {
    /// Why it failed has no address in it, because addresses are secrets.
    async fn send(&self, event: &Event, notice: &Notice) -> Result<(), String> {
        match &self.way {
            Way::Slack(slack) => slack.send(notice).await,
            Way::Webhook(webhook) => webhook.send(event, notice).await,
            Way::Mail(mail) => mail.send(event.id, notice).await,
            Way::Log => {
                let (news, text) = (notice.news.as_str(), notice.body());
                tracing::warn!(news, severity = notice.severity, text, "{}", notice.subject());
                Ok(())
            }
        }
    }
}

/// Where an incident is worked on.
fn link(console: &str, notice: &Notice) -> String {
    format!("{}/console/incidents/{}", console.trim_end_matches('/'), notice.incident)
}
