//! Everything an operator may set, read once at start.

use clap::{Parser, Subcommand};
use kit::config::{Auth, Listen, Postgres, Redis};

use crate::app::Issuing;
use crate::domain::{Bounds, Currency, Refused};

/// The points ledger.
#[derive(Clone, Debug, Parser)]
#[command(name = "points", version)]
pub struct Config {
    /// Serves, when absent.
    #[command(subcommand)]
    pub task: Option<Task>,
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub postgres: Postgres,
    #[command(flatten)]
    pub redis: Redis,
    #[command(flatten)]
    pub auth: Auth,
    /// The unit of account: one point pays one minor unit of it. The same as booking's.
    #[arg(long, env = "POINTS_CURRENCY", default_value = "JPY")]
    pub points_currency: String,
    /// The highest share of a purchase that points may be worth, at a merchant without other bounds.
    #[arg(long, env = "ISSUANCE_MAX_RATE_PERCENT", default_value_t = Bounds::default().max_rate_percent())]
    pub issuance_max_rate_percent: i64,
    /// The points that a merchant without other bounds may give away in a calendar month (UTC).
    #[arg(long, env = "ISSUANCE_BUDGET_POINTS", default_value_t = Bounds::default().budget_points())]
    pub issuance_budget_points: i64,
    #[command(flatten)]
    pub observability: observability::Config,
}

/// What the program does instead of serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Task {
    /// Compares ledger and balances once: fails when they differ, and logs where.
    Reconcile,
}

impl Config {
    /// What a point is worth and who may give how many away, unless an operator says otherwise.
    pub fn issuing(&self) -> Result<Issuing, Refused> {
        let currency = Currency::new(self.points_currency.clone())?;
        let bounds = Bounds::new(self.issuance_max_rate_percent, self.issuance_budget_points)?;
        Ok(Issuing { currency, bounds })
    }
}

impl kit::run::Config for Config {
    fn observability(&self) -> &observability::Config {
        &self.observability
    }

    fn edge(&self) -> &kit::config::Edge {
        &self.listen.edge
    }
}
