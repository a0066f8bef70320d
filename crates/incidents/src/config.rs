//! The configuration, read once at start.

mod notify;
mod rollback;
mod sources;

use chrono::TimeDelta;
use clap::{Args, Parser, Subcommand};
use kit::config::{Auth, Listen, Postgres, Redis, duration};
use secrecy::SecretString;

pub use notify::Notify;
pub use rollback::Rollback;
pub use sources::Sources;

use crate::app::Policy;
use crate::domain::{self, Target, Thresholds};
use crate::http::{Credential, Login, Site};
use crate::report::Month;

/// Incidents, from Alertmanager's alerts.
#[derive(Clone, Debug, Parser)]
#[command(name = "incidents", version)]
pub struct Config {
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub postgres: Postgres,
    #[command(flatten)]
    pub redis: Redis,
    #[command(flatten)]
    pub auth: Auth,
    #[command(flatten)]
    pub observability: observability::Config,
    /// Bearer token of Alertmanager for /v1/alerts. At least 16 characters.
    #[arg(long, env = "WEBHOOK_TOKEN", hide_env_values = true, value_parser = long_enough)]
    pub webhook_token: SecretString,
    /// URL of auth's public HTTP, where operators of the console sign in.
    #[arg(long, env = "AUTH_HTTP_URL", default_value = "http://127.0.0.1:8081")]
    pub auth_http_url: String,
    /// Services that the status page shows, in this order.
    #[arg(
        long,
        env = "STATUS_SERVICES",
        default_value = "auth,points,booking,incidents",
        value_delimiter = ','
    )]
    pub status_services: Vec<String>,
    #[command(flatten)]
    pub severities: Severities,
    #[command(flatten)]
    pub targets: Targets,
    /// Silence of Prometheus and Alertmanager (their Watchdog alert) after which an incident opens.
    #[arg(long, env = "WATCHDOG_SILENCE", default_value = "90s", value_parser = duration)]
    pub watchdog_silence: std::time::Duration,
    #[command(flatten)]
    pub sources: Sources,
    #[command(flatten)]
    pub notify: Notify,
    #[command(flatten)]
    pub rollback: Rollback,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Runs the service. The default.
    Serve,
    /// Prints the report of a month, as Markdown.
    Report {
        /// The month, such as 2026-11.
        #[arg(long)]
        month: Month,
    },
}

/// Limits from which an alert has a severity.
#[derive(Args, Clone, Debug)]
pub struct Severities {
    /// Shares of failed requests, from 0 to 1, for P0, P1 and P2.
    #[arg(long, env = "SEVERITY_ERROR_RATE", default_value = "0.5,0.2,0.05", value_parser = falling::<3>)]
    pub severity_error_rate: [f64; 3],
    /// Availability, from 0 to 1, below which an alert is P0.
    #[arg(long, env = "SEVERITY_AVAILABILITY", default_value = "0.95")]
    pub severity_availability: f64,
    /// Response times in seconds for P1 and P2.
    #[arg(long, env = "SEVERITY_RESPONSE_TIME", default_value = "5,3", value_parser = falling::<2>)]
    pub severity_response_time: [f64; 2],
    /// Numbers of affected users for P0, P1 and P2.
    #[arg(long, env = "SEVERITY_AFFECTED_USERS", default_value = "1000,100,10", value_parser = falling::<3>)]
    pub severity_affected_users: [f64; 3],
}

/// Times within which somebody must respond, and within which an incident must be resolved.
#[derive(Args, Clone, Copy, Debug)]
pub struct Targets {
    /// Targets of P0: response/resolution.
    #[arg(long, env = "TARGET_P0", default_value = "15m/2h", value_parser = target)]
    pub target_p0: Target,
    /// Targets of P1.
    #[arg(long, env = "TARGET_P1", default_value = "1h/4h", value_parser = target)]
    pub target_p1: Target,
    /// Targets of P2.
    #[arg(long, env = "TARGET_P2", default_value = "4h/24h", value_parser = target)]
    pub target_p2: Target,
    /// Targets of P3.
    #[arg(long, env = "TARGET_P3", default_value = "24h/72h", value_parser = target)]
    pub target_p3: Target,
}

impl Config {
    /// Fails when a severity has no configured channel.
    pub fn policy(&self) -> anyhow::Result<Policy> {
        let Severities {
            severity_error_rate: error_rate,
            severity_availability: availability,
            severity_response_time: response_time,
            severity_affected_users: affected_users,
        } = self.severities;
        let Targets { target_p0, target_p1, target_p2, target_p3 } = self.targets;
        Ok(Policy {
            thresholds: Thresholds { error_rate, availability, response_time, affected_users },
            targets: domain::Targets([target_p0, target_p1, target_p2, target_p3]),
            services: self.status_services.clone(),
            routes: self.notify.routes()?,
            repeat: self.notify.repeat(),
            silence: TimeDelta::from_std(self.watchdog_silence)?,
            patience: TimeDelta::from_std(self.sources.alert_patience)?,
            sources: self.sources.sources()?,
            executor: self.rollback.executor()?,
            automatic_rollback: self.rollback.rollback_automatic,
        })
    }
}

impl Config {
    /// Returns the settings of the webhook and the pages.
    pub fn site(&self) -> anyhow::Result<Site> {
        Ok(Site {
            webhook: Credential::new(&self.webhook_token),
            login: Login::new(&self.auth_http_url, "incidents")?,
            secret: self.auth.service_client_secret.clone(),
            connections: self.listen.limits.max_connections,
        })
    }
}

impl kit::service::Config for Config {
    type Command = Command;

    fn command(&self) -> Option<Command> {
        self.command.filter(|command| !matches!(command, Command::Serve))
    }

    fn listen(&self) -> &Listen {
        &self.listen
    }

    fn postgres(&self) -> &Postgres {
        &self.postgres
    }

    fn redis(&self) -> &Redis {
        &self.redis
    }

    fn observability(&self) -> &observability::Config {
        &self.observability
    }

    fn cache_secret(&self) -> &SecretString {
        &self.auth.service_client_secret
    }

    fn check(&self) -> Result<(), String> {
        self.notify.check(&self.observability.environment)
    }
}

fn long_enough(token: &str) -> Result<SecretString, &'static str> {
    if token.len() < 16 {
        return Err("must have at least 16 characters");
    }
    Ok(SecretString::from(token))
}

/// Parses numbers that fall from P0 on.
fn falling<const N: usize>(text: &str) -> Result<[f64; N], String> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|n| n.trim().parse().ok()).collect();
    let numbers = numbers.and_then(|numbers| <[f64; N]>::try_from(numbers).ok());
    numbers
        .filter(|numbers| numbers.iter().all(|n| n.is_finite()))
        .filter(|numbers| numbers.windows(2).all(|pair| pair[0] > pair[1]))
        .ok_or_else(|| format!("expected {N} numbers, each less than the previous one"))
}

fn target(text: &str) -> Result<Target, String> {
    let (response, resolution) = text.split_once('/').ok_or("expected response/resolution")?;
    let span = |text| {
        let span = TimeDelta::from_std(duration(text)?).map_err(|error| error.to_string())?;
        if span > TimeDelta::days(365) {
            Err("a target is at most a year".to_owned())
        } else {
            Ok(span)
        }
    };
    Ok(Target { response: span(response)?, resolution: span(resolution)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tests_run_with_is_what_help_says() {
        #[derive(Parser)]
        struct Defaults {
            #[command(flatten)]
            severities: Severities,
            #[command(flatten)]
            targets: Targets,
        }
        let read = Defaults::parse_from([""]);
        let standard = Thresholds::default();
        assert_eq!(read.severities.severity_error_rate, standard.error_rate);
        assert_eq!(read.severities.severity_availability, standard.availability);
        assert_eq!(read.severities.severity_response_time, standard.response_time);
        assert_eq!(read.severities.severity_affected_users, standard.affected_users);
        let Targets { target_p0, target_p1, target_p2, target_p3 } = read.targets;
        assert_eq!(
            domain::Targets([target_p0, target_p1, target_p2, target_p3]),
            domain::Targets::default()
        );
    }

    #[test]
    fn a_threshold_that_makes_no_sense_is_refused() {
        for wrong in ["0.5,0.2", "0.2,0.5,0.05", "a,b,c", "NaN,0.2,0.1", ""] {
            assert!(falling::<3>(wrong).is_err(), "{wrong}");
        }
        for wrong in ["15m", "15m/2x", "/", "15m/999999h"] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }
}
