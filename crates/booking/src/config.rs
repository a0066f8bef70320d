//! The configuration, read once at start.

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
    /// Replica of the database for lists: postgres://user:password@host:port/database
    #[arg(long, env = "DATABASE_REPLICA_URL", hide_env_values = true)]
    pub database_replica_url: Option<SecretString>,
    #[command(flatten)]
    pub redis: Redis,
    #[command(flatten)]
    pub auth: Auth,
    #[command(flatten)]
    pub observability: observability::Config,
    /// Address of points' gRPC: http://host:port
    #[arg(long, env = "POINTS_GRPC_URL")]
    pub points_grpc_url: String,
    /// Currency in which a point is worth one minor unit; the same as in points.
    #[arg(long, env = "POINTS_CURRENCY", default_value_t)]
    pub points_currency: Currency,
    /// Slots that a member may hold at the same time.
    #[arg(long, env = "HOLDS_PER_MEMBER", default_value = "10")]
    pub holds_per_member: u32,
    /// Bookings and holds that a member may have ahead, at merchants of others.
    #[arg(long, env = "BOOKINGS_PER_MEMBER", default_value = "50")]
    pub bookings_per_member: u32,
    #[command(flatten)]
    pub line: Line,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands of an operator.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Creates the demo's salon, with staff, services and hours.
    Seed {
        /// Id of the member who owns it.
        #[arg(long)]
        owner: Uuid,
    },
    /// Lists the bookings whose local time a change of a zone's rules has moved, and moves them back.
    Rezone {
        /// Moves the bookings; without it nothing changes.
        #[arg(long)]
        apply: bool,
    },
}

/// The messages to members by LINE.
#[derive(Args, Clone, Debug)]
pub struct Line {
    /// Address of LINE's Messaging API, or of a stand-in.
    #[arg(long, env = "LINE_API_URL", default_value = "https://api.line.me")]
    pub line_api_url: String,
    /// Secret that encrypts the channel tokens of merchants: at least 32 characters. Without it, merchants cannot
    /// connect a channel.
    #[arg(long, env = "LINE_TOKEN_KEY", hide_env_values = true)]
    pub line_token_key: Option<SecretString>,
    /// Messages per second, of all replicas together.
    #[arg(long, env = "LINE_MESSAGES_PER_SECOND", default_value = "500")]
    pub line_messages_per_second: u32,
}

impl kit::service::Config for Config {
    type Command = Command;

    fn command(&self) -> Option<Command> {
        self.command.clone()
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

impl Line {
    /// Returns the seal of `LINE_TOKEN_KEY`, if it is set.
    pub fn seal(&self) -> anyhow::Result<Option<Seal>> {
        self.line_token_key.as_ref().map(Seal::new).transpose()
    }
}

impl Config {
    /// Connects lazily to the replica, if there is one.
    pub fn replica(&self) -> anyhow::Result<Option<PgPool>> {
        let url = self.database_replica_url.as_ref();
        url.map(|url| postgres::replica(&self.postgres, url, "booking")).transpose()
    }
}
