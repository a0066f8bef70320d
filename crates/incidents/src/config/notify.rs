use std::time::Duration;

use chrono::TimeDelta;
use clap::Args;
use kit::config::duration;
use kit::process::Refusal;
use secrecy::{ExposeSecret as _, SecretString};

use crate::channels::{Address, Addresses};
use crate::domain::{Channel, Routes};

/// The channels of each severity, and their settings. The channels: slack-critical, slack-alerts, slack-general,
/// mail-management, mail-team, sms, ticket, log.
#[derive(Args, Clone, Debug)]
pub struct Notify {
    /// Channels of P0, such as slack-critical,mail-management,sms. Each must be configured.
    #[arg(long, env = "NOTIFY_P0", default_value = "log", value_delimiter = ',', value_parser = channel)]
    pub notify_p0: Vec<Channel>,
    /// Channels of P1, such as slack-alerts,mail-team.
    #[arg(long, env = "NOTIFY_P1", default_value = "log", value_delimiter = ',', value_parser = channel)]
    pub notify_p1: Vec<Channel>,
    /// Channels of P2, such as slack-general.
    #[arg(long, env = "NOTIFY_P2", default_value = "log", value_delimiter = ',', value_parser = channel)]
    pub notify_p2: Vec<Channel>,
    /// Channels of P3, such as ticket.
    #[arg(long, env = "NOTIFY_P3", default_value = "log", value_delimiter = ',', value_parser = channel)]
    pub notify_p3: Vec<Channel>,
    /// Incoming webhook of slack-critical.
    #[arg(long, env = "SLACK_CRITICAL_URL", hide_env_values = true, value_parser = address)]
    pub slack_critical_url: Option<SecretString>,
    /// Incoming webhook of slack-alerts.
    #[arg(long, env = "SLACK_ALERTS_URL", hide_env_values = true, value_parser = address)]
    pub slack_alerts_url: Option<SecretString>,
    /// Incoming webhook of slack-general.
    #[arg(long, env = "SLACK_GENERAL_URL", hide_env_values = true, value_parser = address)]
    pub slack_general_url: Option<SecretString>,
    /// Gateway that sends text messages; receives signed JSON.
    #[arg(long, env = "SMS_URL", hide_env_values = true, value_parser = address)]
    pub sms_url: Option<SecretString>,
    /// Secret that signs the messages to SMS_URL. At least 16 characters.
    #[arg(long, env = "SMS_SECRET", hide_env_values = true, value_parser = super::long_enough)]
    pub sms_secret: Option<SecretString>,
    /// Gateway that opens tickets; receives signed JSON.
    #[arg(long, env = "TICKET_URL", hide_env_values = true, value_parser = address)]
    pub ticket_url: Option<SecretString>,
    /// Secret that signs the messages to TICKET_URL. At least 16 characters.
    #[arg(long, env = "TICKET_SECRET", hide_env_values = true, value_parser = super::long_enough)]
    pub ticket_secret: Option<SecretString>,
    /// Mail server: smtps://user:password@host, or smtp://host:port?tls=required.
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// Sender of mail.
    #[arg(long, env = "MAIL_FROM", default_value = "Incidents <incidents@localhost>")]
    pub mail_from: String,
    /// Addresses of mail-management.
    #[arg(long, env = "MAIL_MANAGEMENT_TO", hide_env_values = true, value_delimiter = ',')]
    pub mail_management_to: Vec<String>,
    /// Addresses of mail-team.
    #[arg(long, env = "MAIL_TEAM_TO", hide_env_values = true, value_delimiter = ',')]
    pub mail_team_to: Vec<String>,
    /// Time after which people are reminded of an unacknowledged P0; doubles up to an hour.
    #[arg(long, env = "NOTIFY_REPEAT", default_value = "5m", value_parser = duration)]
    pub notify_repeat: Duration,
    /// URL of this service for operators, for links in messages.
    #[arg(long, env = "PUBLIC_URL", default_value = LOCAL_URL)]
    pub public_url: String,
}

/// The default, for a local system.
const LOCAL_URL: &str = "http://127.0.0.1:8084";

impl Notify {
    /// Fails in production when the worst severities are only logged: nobody would be woken.
    pub fn check(&self, environment: &str) -> Result<(), String> {
        if !matches!(environment.to_ascii_lowercase().as_str(), "production" | "prod") {
            return Ok(());
        }
        for (variable, channels) in [("NOTIFY_P0", &self.notify_p0), ("NOTIFY_P1", &self.notify_p1)]
        {
            if channels.iter().all(|&channel| channel == Channel::Log) {
                return Err(format!(
                    "{variable} names no channel but log, and DEPLOYMENT_ENVIRONMENT is {environment}: \
                     nobody would be notified"
                ));
            }
        }
        if self.public_url == LOCAL_URL {
            return Err(format!(
                "PUBLIC_URL is not set, and DEPLOYMENT_ENVIRONMENT is {environment}: \
                 links in messages would lead to {LOCAL_URL}"
            ));
        }
        Ok(())
    }

    /// Fails when a severity has no configured channel.
    pub fn routes(&self) -> anyhow::Result<Routes> {
        let routes = [&self.notify_p0, &self.notify_p1, &self.notify_p2, &self.notify_p3];
        let routes = Routes::try_new(routes.map(Clone::clone), &self.working());
        routes.map_err(|why| Refusal(why).into())
    }

    pub fn repeat(&self) -> TimeDelta {
        TimeDelta::from_std(self.notify_repeat).unwrap_or(TimeDelta::hours(1))
    }

    fn working(&self) -> Vec<Channel> {
        let Addresses { slack, webhooks, smtp, mail_to, .. } = self.addresses();
        let mut working = vec![Channel::Log];
        working.extend(slack.iter().map(|(channel, _)| *channel));
        working.extend(webhooks.iter().map(|(channel, ..)| *channel));
        if smtp.is_some() {
            working.extend(mail_to.iter().map(|(channel, _)| *channel));
        }
        working
    }

    pub fn addresses(&self) -> Addresses {
        let known = |url: &Option<SecretString>| -> Option<Address> {
            url.as_ref().and_then(|url| url.expose_secret().parse().ok())
        };
        let slack = [
            (Channel::SlackCritical, &self.slack_critical_url),
            (Channel::SlackAlerts, &self.slack_alerts_url),
            (Channel::SlackGeneral, &self.slack_general_url),
        ];
        let webhooks = [
            (Channel::Sms, &self.sms_url, &self.sms_secret),
            (Channel::Ticket, &self.ticket_url, &self.ticket_secret),
        ];
        let mail = [
            (Channel::MailManagement, &self.mail_management_to),
            (Channel::MailTeam, &self.mail_team_to),
        ];
        let signed = |(channel, url, secret): (Channel, _, &Option<SecretString>)| {
            Some((channel, known(url)?, secret.clone()?))
        };
        Addresses {
            slack: slack.into_iter().filter_map(|(c, url)| Some((c, known(url)?))).collect(),
            webhooks: webhooks.into_iter().filter_map(signed).collect(),
            smtp: self.smtp_url.clone(),
            mail_from: self.mail_from.clone(),
            mail_to: mail
                .into_iter()
                .map(|(channel, to)| (channel, to.iter().filter(|to| !to.is_empty())))
                .map(|(channel, to)| (channel, to.cloned().collect::<Vec<_>>()))
                .filter(|(_, to)| !to.is_empty())
                .collect(),
            console: self.public_url.clone(),
        }
    }
}

fn channel(name: &str) -> Result<Channel, String> {
    name.parse().map_err(|error: crate::domain::UnknownChannel| error.to_string())
}

/// Checks an address, and keeps it as a secret.
fn address(text: &str) -> Result<SecretString, &'static str> {
    text.parse::<Address>()?;
    Ok(SecretString::from(text))
}
