//! Logs, traces, metrics and panic recovery, the same way in every service.

pub mod config;
pub mod metrics;

pub use config::Config;
