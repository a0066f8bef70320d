//! What an operator may set about telemetry.

use clap::Args;

/// Logs, traces and metrics.
#[derive(Args, Clone, Debug)]
pub struct Config {
    /// Log directives, such as `info,kit=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}
