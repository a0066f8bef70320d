//! The configuration, read once at start.

use clap::{Parser, Subcommand};
use kit::config::{Auth, Listen, Postgres, Redis};

use secrecy::SecretString;

use crate::domain::{Bounds, Currency, IssuancePolicy, Refused};

/// The points ledger.
#[derive(Clone, Debug, Parser)]
#[command(name = "points", version)]
pub struct Config {
    /// Runs a subcommand instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub postgres: Postgres,
    #[command(flatten)]
    pub redis: Redis,
    #[command(flatten)]
    pub auth: Auth,
    /// The unit of account: one point pays one minor unit of it. Must be the same as booking's.
    #[arg(long, env = "POINTS_CURRENCY", default_value = "JPY")]
    pub points_currency: String,
    /// The highest share of a purchase that points may be worth, at a merchant without its own limits.
    #[arg(long, env = "ISSUANCE_MAX_RATE_PERCENT", default_value_t = Bounds::default().max_rate_percent())]
    pub issuance_max_rate_percent: i64,
    /// The points that a merchant without its own limits may give away in a calendar month (UTC).
    #[arg(long, env = "ISSUANCE_BUDGET_POINTS", default_value_t = Bounds::default().budget_points())]
    pub issuance_budget_points: i64,
    #[command(flatten)]
    pub observability: observability::Config,
}

/// The subcommands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Compares ledger and balances once. Logs each difference, and fails if there is one.
    Reconcile,
}

impl Config {
    /// The unit of account, and the limits of merchants without their own.
    pub fn policy(&self) -> Result<IssuancePolicy, Refused> {
        let currency = Currency::new(self.points_currency.clone())?;
        let bounds = Bounds::new(self.issuance_max_rate_percent, self.issuance_budget_points)?;
        Ok(IssuancePolicy { currency, bounds })
    }
}

impl kit::service::Config for Config {
    type Command = Command;

    fn command(&self) -> Option<Command> {
        self.command
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
}
