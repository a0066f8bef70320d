//! Starting telemetry, and ending it without losing what is under way.

use std::io::Write;

use opentelemetry_sdk::trace::InMemorySpanExporter;

use crate::Config;

/// Where log lines and spans go when not to standard output and the configured endpoint: for tests.
#[derive(Default)]
pub struct Sinks {
    pub log: Option<Box<dyn Write + Send>>,
    /// Gets each span as it ends.
    pub spans: Option<InMemorySpanExporter>,
}

/// Flushes logs and spans when dropped, for at most 2 s, whether or not the collector lives.
#[must_use = "telemetry ends when the guard is dropped"]
pub struct Guard {}

/// Starts logs, traces, metrics and the panic hook, once per process.
///
/// Must be called inside a multi-thread tokio runtime: the exporter's connection lives there, and on
/// a current-thread runtime its shutdown would wait for itself (opentelemetry-rust#2583).
pub fn init(
    service: &'static str,
    version: &'static str,
    config: &Config,
) -> anyhow::Result<Guard> {
    init_with(service, version, config, Sinks::default())
}

/// [`init`] with other sinks.
pub fn init_with(
    _service: &'static str,
    _version: &'static str,
    _config: &Config,
    _sinks: Sinks,
) -> anyhow::Result<Guard> {
    todo!()
}
