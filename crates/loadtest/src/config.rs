//! What the script says, read once at start.

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "loadtest")]
pub(crate) struct Config {
    /// As the owner of the schema, who may migrate.
    #[arg(long, env = "DATABASE_OWNER_URL", hide_env_values = true)]
    pub(crate) owner_url: String,
    /// As the service's own role.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) app_url: String,
    /// How long each figure is measured, in each round.
    #[arg(long, env = "SECONDS_EACH", default_value = "3")]
    pub(crate) seconds_each: u64,
    #[command(flatten)]
    pub(crate) redis: kit::config::Redis,
}
