//! The log level, changeable at run time.

use std::sync::Mutex;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::reload;

/// Limits for libraries that would flood the log at their usual level.
const QUIET: &str = "info,h2=warn,hyper=warn,hyper_util=warn,tonic=warn,tower=warn,rustls=warn,\
                     opentelemetry=warn,opentelemetry_sdk=warn,opentelemetry-otlp=warn,\
                     sqlx::postgres::notice=warn";

static SWITCH: Mutex<Option<Switch>> = Mutex::new(None);

struct Switch {
    handle: reload::Handle<EnvFilter, tracing_subscriber::Registry>,
    directives: String,
}

/// The text is not `level` or `target=level`, separated by commas.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{directive}` is not a log directive: expected a level (error, warn, info, debug, trace, off) or target=level"
)]
pub struct Malformed {
    directive: String,
}

/// The reason for not changing the level.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("logging was not started in this process")]
    NotStarted,
}

/// Sets the log directives.
pub fn set(directives: &str) -> Result<(), Error> {
    let filter = parse(directives)?;
    let mut switch = SWITCH.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let switch = switch.as_mut().ok_or(Error::NotStarted)?;
    switch.handle.reload(filter).map_err(|_| Error::NotStarted)?;
    switch.directives = directives.to_owned();
    Ok(())
}

/// Returns the directives in force; empty before logging was started.
pub fn current() -> String {
    let switch = SWITCH.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    switch.as_ref().map(|s| s.directives.clone()).unwrap_or_default()
}

pub(crate) fn install(
    handle: reload::Handle<EnvFilter, tracing_subscriber::Registry>,
    directives: &str,
) {
    let mut switch = SWITCH.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    *switch = Some(Switch { handle, directives: directives.to_owned() });
}

/// Parses directives. Each is checked first, because `EnvFilter` takes a misspelled level for a module's name
/// and then logs nothing that was meant.
pub(crate) fn parse(directives: &str) -> Result<EnvFilter, Malformed> {
    for directive in directives.split(',') {
        let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
        let known = ["error", "warn", "info", "debug", "trace", "off"];
        if !known.iter().any(|name| level.trim().eq_ignore_ascii_case(name)) {
            return Err(Malformed { directive: directive.to_owned() });
        }
    }
    EnvFilter::try_new(format!("{QUIET},{directives}"))
        .map_err(|_| Malformed { directive: directives.to_owned() })
}
