//! From configuration to a running process: what every `main` does.

use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

/// A service's configuration.
pub trait Config: clap::Parser + Send + 'static {
    fn observability(&self) -> &observability::Config;
}

/// Parses the configuration (one line and exit 64 when it is wrong), starts logs, traces and
/// metrics, runs the service until SIGTERM or Ctrl-C, and flushes.
pub fn run<C, F, Fut>(_service: &'static str, _version: &'static str, _start: F) -> ExitCode
where
    C: Config,
    F: FnOnce(C, CancellationToken) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    todo!()
}
