//! The configuration of logs, traces, metrics and alerts.

use clap::{Args, ValueEnum};
use secrecy::SecretString;

/// The configuration of logs, traces, metrics and alerts.
#[derive(Args, Clone, Debug)]
#[group(skip)] // the group would be named `Config`, like the service's own
pub struct Config {
    /// Log directives, such as `info,kit=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info", value_parser = directives)]
    pub log_level: String,
    /// The format of log lines: JSON objects, or text for people.
    #[arg(long, env = "LOG_FORMAT", default_value = "json")]
    pub log_format: LogFormat,
    /// OTLP gRPC endpoint for traces, such as `http://127.0.0.1:4317`. Empty: traces are not exported, but
    /// log lines have trace ids.
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "", value_parser = endpoint)]
    pub otlp_endpoint: String,
    /// Share of new traces that are recorded, 0 to 1. A caller's decision is kept.
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value = "1.0", value_parser = ratio)]
    pub trace_ratio: f64,
    /// Name of the environment, such as `production`.
    #[arg(long, env = "DEPLOYMENT_ENVIRONMENT", default_value = "development")]
    pub environment: String,
    /// Send alerts about panics, broken invariants and open circuit breakers.
    #[arg(long, env = "ALERTING_ENABLED", default_value = "true", action = clap::ArgAction::Set)]
    pub alerting_enabled: bool,
    /// Incoming webhook of the Slack channel for alerts. Empty: alerts are only logged and counted.
    #[arg(long, env = "SLACK_WEBHOOK_URL", hide_env_values = true)]
    pub slack_webhook_url: Option<SecretString>,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Json,
    Pretty,
}

/// The defaults of `--help`.
impl Default for Config {
    fn default() -> Self {
        Self {
            log_level: "info".to_owned(),
            log_format: LogFormat::Json,
            otlp_endpoint: String::new(),
            trace_ratio: 1.0,
            environment: "development".to_owned(),
            alerting_enabled: true,
            slack_webhook_url: None,
        }
    }
}

fn directives(value: &str) -> Result<String, crate::log_level::Malformed> {
    crate::log_level::parse(value).map(|_| value.to_owned())
}

fn endpoint(value: &str) -> Result<String, String> {
    let known = value.is_empty() || value.starts_with("http://");
    if known { Ok(value.to_owned()) } else { Err("expected http://host:port".to_owned()) }
}

fn ratio(value: &str) -> Result<f64, String> {
    match value.parse() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}
