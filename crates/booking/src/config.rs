//! Everything an operator may set, read once at start.

use clap::{Args, Parser, Subcommand};
use kit::config::{Auth, Listen, Postgres, Redis};
use kit::postgres;
use secrecy::SecretString;
use sqlx::PgPool;
use uuid::Uuid;

use crate::domain::Currency;
use crate::seal::Seal;

/// Appointments with a merchant's staff.
#[derive(Clone, Debug, Parser)]
#[command(name = "booking", version)]
pub struct Config {
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub postgres: Postgres,
    /// A replica of the database, which may answer for lists: postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_REPLICA_URL", hide_env_values = true)]
    pub database_replica_url: Option<SecretString>,
    #[command(flatten)]
    pub redis: Redis,
    #[command(flatten)]
    pub auth: Auth,
    #[command(flatten)]
    pub observability: observability::Config,
    /// http://host:port of points' gRPC.
    #[arg(long, env = "POINTS_GRPC_URL")]
    pub points_grpc_url: String,
    /// In whose minor unit a point is worth one. The same as points'.
    #[arg(long, env = "POINTS_CURRENCY", default_value_t)]
    pub points_currency: Currency,
    /// How many slots a member may hold at the same time.
    #[arg(long, env = "HOLDS_PER_MEMBER", default_value = "10")]
    pub holds_per_member: u32,
    /// How many bookings and holds a member may have ahead of them, at merchants of others.
    #[arg(long, env = "BOOKINGS_PER_MEMBER", default_value = "50")]
    pub bookings_per_member: u32,
    #[command(flatten)]
    pub line: Line,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What an operator does beside running the service.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Open the demo's salon, with people, services and hours.
    Seed {
        /// The member who owns it, by id.
        #[arg(long)]
        owner: Uuid,
    },
    /// List the bookings whose local time a change of a zone's rules has moved, and mend them.
    Rezone {
        /// Move them; without it nothing changes.
        #[arg(long)]
        apply: bool,
    },
}

/// How members are told.
#[derive(Args, Clone, Debug)]
pub struct Line {
    /// LINE's Messaging API, or a stand-in.
    #[arg(long, env = "LINE_API_URL", default_value = "https://api.line.me")]
    pub line_api_url: String,
    /// Seals the channel tokens of merchants: at least 32 characters. Without it no merchant can connect a
    /// channel.
    #[arg(long, env = "LINE_TOKEN_KEY", hide_env_values = true)]
    pub line_token_key: Option<SecretString>,
    /// How many messages a second leave, all replicas together.
    #[arg(long, env = "LINE_MESSAGES_PER_SECOND", default_value = "500")]
    pub line_messages_per_second: u32,
}

impl kit::run::Config for Config {
    fn observability(&self) -> &observability::Config {
        &self.observability
    }

    fn edge(&self) -> &kit::config::Edge {
        &self.listen.edge
    }
}

impl Line {
    /// What `LINE_TOKEN_KEY` makes, if it is set.
    pub fn seal(&self) -> anyhow::Result<Option<Seal>> {
        self.line_token_key.as_ref().map(Seal::new).transpose()
    }
}

impl Config {
    /// Where lists may come from, if there is such a place.
    pub fn replica(&self) -> anyhow::Result<Option<PgPool>> {
        let url = self.database_replica_url.as_ref();
        url.map(|url| postgres::replica(&self.postgres, url, "booking")).transpose()
    }
}
