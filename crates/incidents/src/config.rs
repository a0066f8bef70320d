//! Everything an operator may set, read once at start.

use clap::Parser;
use kit::config::{Auth, Listen, Postgres, Redis};
use secrecy::SecretString;

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
    /// The bearer token that Alertmanager brings to /v1/alerts. At least 16 characters.
    #[arg(long, env = "WEBHOOK_TOKEN", hide_env_values = true, value_parser = long_enough)]
    pub webhook_token: SecretString,
}

impl kit::run::Config for Config {
    fn observability(&self) -> &observability::Config {
        &self.observability
    }
}

fn long_enough(token: &str) -> Result<SecretString, &'static str> {
    if token.len() < 16 {
        return Err("needs at least 16 characters");
    }
    Ok(SecretString::from(token))
}
