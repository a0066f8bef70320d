//! Runs a process: configuration, telemetry, signals and exit codes.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{self, Stop};
use crate::healthcheck::healthcheck;

/// `EX_USAGE` of `sysexits.h`: a flag or variable is missing or wrong.
const BAD_CONFIGURATION: u8 = 64;
/// `EX_CONFIG`: the environment does not have what this release needs.
const REFUSED: u8 = 78;

/// An error that prevents a start until an operator intervenes, such as by applying a migration. The exit
/// code 78 tells a supervisor not to retry.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refusal(pub String);

/// Parses the configuration (one line and exit 64 when it is wrong or `check` refuses it), starts logs, traces
/// and metrics, runs `start` until SIGTERM or Ctrl-C, and flushes. `<service> healthcheck` asks a running one
/// instead. Services use [`crate::run`].
pub fn launch<C, F, Fut>(
    service: &'static str,
    version: &'static str,
    check: impl FnOnce(&C) -> Result<(), String>,
    observability: impl FnOnce(&C) -> observability::Config,
    start: F,
) -> ExitCode
where
    C: clap::Parser,
    F: FnOnce(C, CancellationToken) -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "healthcheck") {
        return healthcheck();
    }
    let config = match config::load::<C>() {
        Ok(config) => config,
        Err(Stop::Asked(text)) => {
            say(&text);
            return ExitCode::SUCCESS;
        }
        Err(Stop::Wrong(line)) => return fail(&line, BAD_CONFIGURATION),
    };
    if let Err(line) = check(&config) {
        return fail(&line, BAD_CONFIGURATION);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start: {error}"), 1),
    };
    let result = runtime.block_on(async {
        let _telemetry = observability::init(service, version, &observability(&config))?;
        let stop = CancellationToken::new();
        tokio::spawn(cancel_on_signal(stop.clone())?);
        start(config, stop).await
    });
    // Remaining tasks are not waited for: a drain has its own deadline.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let refused = error.downcast_ref::<Refusal>().is_some();
            // One line, even with RUST_BACKTRACE: `{:?}` would add a backtrace.
            fail(&format!("{error:#}"), if refused { REFUSED } else { 1 })
        }
    }
}

/// Cancels on SIGTERM, sent by supervisors, and on SIGINT (Ctrl-C).
fn cancel_on_signal(
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    })
}

#[expect(clippy::print_stdout, reason = "the output of --help")]
fn say(text: &str) {
    print!("{text}");
}

#[expect(clippy::print_stderr, reason = "there is no log before the configuration is read")]
fn fail(line: &str, code: u8) -> ExitCode {
    eprintln!("error: {}", line.replace('\n', " "));
    ExitCode::from(code)
}
