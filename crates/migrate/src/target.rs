//! The database of a service, as its owner: the role that may change the schema.

use std::fs;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use crate::Error;

/// The `--help` text of the variables.
pub const HELP: &str = "\
The database, as the role that owns it:
  <SERVICE>_OWNER_URL    postgres://owner:password@host:port/database, such as POINTS_OWNER_URL
  DATABASE_OWNER_URL     the same for every service; `{service}` in it becomes the service's name
Either may end in _FILE and then names a file that holds the URL.";

/// Reads the URL from the environment.
pub fn from_env(service: &str, of_many: bool) -> Result<PgConnectOptions, Error> {
    let own = format!("{}_OWNER_URL", service.to_ascii_uppercase());
    let (variable, url) = match variable(&own)? {
        Some(url) => (own, url),
        None => match variable("DATABASE_OWNER_URL")? {
            Some(url) if of_many && !url.contains("{service}") => {
                return Err(Error::Usage(
                    "DATABASE_OWNER_URL names one database; for `all` put `{service}` into it"
                        .to_owned(),
                ));
            }
            Some(url) => ("DATABASE_OWNER_URL".to_owned(), url.replace("{service}", service)),
            None => {
                return Err(Error::Usage(format!(
                    "{own} is not set (nor {own}_FILE, nor DATABASE_OWNER_URL)"
                )));
            }
        },
    };
    // The parser's own message may quote a part of the URL, and so of the password.
    PgConnectOptions::from_str(&url)
        .map(|options| options.application_name("migrate"))
        .map_err(|_| Error::Usage(format!("{variable} is not a PostgreSQL URL")))
}

#[expect(clippy::disallowed_methods, reason = "this is where the command reads its environment")]
fn variable(name: &str) -> Result<Option<String>, Error> {
    if let Ok(value) = std::env::var(name) {
        return Ok(Some(value));
    }
    let file = format!("{name}_FILE");
    match std::env::var(&file) {
        Err(_) => Ok(None),
        Ok(path) => fs::read_to_string(&path)
            .map(|text| Some(text.trim().to_owned()))
            .map_err(|e| Error::Usage(format!("{file} names {path}: {e}"))),
    }
}
