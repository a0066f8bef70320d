//! The settings of an operator, read once at start.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use kit::caller::Role;
use kit::config::{Listen, Postgres, Redis};
use secrecy::SecretString;
use uuid::Uuid;

use crate::keyring::Keyring;
use crate::pepper::Peppers;

/// Accounts, logins and tokens.
#[derive(Clone, Debug, Parser)]
#[command(name = "auth", version)]
pub struct Config {
    #[command(flatten)]
    pub listen: Listen,
    #[command(flatten)]
    pub postgres: Postgres,
    #[command(flatten)]
    pub redis: Redis,
    #[command(flatten)]
    pub observability: observability::Config,
    /// Encrypts the signing keys in the database: at least 32 bytes, in base64 or hexadecimal.
    #[arg(long, env = "AUTH_KEY_ENCRYPTION_KEY", hide_env_values = true, value_parser = sealing)]
    pub auth_key_encryption_key: SecretString,
    /// Keys mixed into passwords before hashing, as version:key, separated by commas; each key is at least 32 bytes
    /// in base64 or hexadecimal. Keep a version until no password uses it.
    #[arg(long, env = "PASSWORD_PEPPERS", hide_env_values = true)]
    pub password_peppers: Option<Peppers>,
    #[command(flatten)]
    pub mail: Mail,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The way out for mail. With neither a server nor a directory, mail waits in the outbox; in production the service
/// does not start without a server.
#[derive(Args, Clone, Debug)]
pub struct Mail {
    /// The SMTP server: smtps://user:password@host, or smtp://host:port?tls=required.
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// The directory that mail is written to when there is no SMTP server.
    #[arg(long, env = "MAIL_SINK_DIR")]
    pub mail_sink_dir: Option<PathBuf>,
    /// The sender of mail.
    #[arg(long, env = "MAIL_FROM", default_value = "no-reply@example.org")]
    pub mail_from: String,
}

/// A command beside the running service, in its environment.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Runs the service; the default.
    Serve,
    /// Gives a member a role. Their tokens have it from the next refresh on.
    Grant(Grant),
    /// Takes a role away and signs the member out everywhere, so that no token keeps it.
    Revoke(Grant),
    /// Creates a service client, or replaces its secret.
    Client(Client),
    /// Makes a new signing key. It is published now, and signs tokens in two minutes.
    RotateKeys(RotateKeys),
    /// Disables an account and ends its sessions. Logins then fail as with a wrong password.
    Disable(Account),
    /// Enables an account again.
    Enable(Account),
}

#[derive(Args, Clone, Debug)]
pub struct Grant {
    /// The address the member registered with.
    #[arg(long)]
    pub email: String,
    /// The role: staff, merchant_admin or operator.
    #[arg(long)]
    pub role: Role,
}

/// An account, named by address or by id.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct Account {
    /// The address the member registered with.
    #[arg(long)]
    pub email: Option<String>,
    /// The member's id.
    #[arg(long)]
    pub account: Option<Uuid>,
}

#[derive(Args, Clone, Debug)]
pub struct RotateKeys {
    /// Ends all old keys now, and with them all access tokens: for a key that may have leaked.
    #[arg(long)]
    pub leaked: bool,
}

#[derive(Args, Clone, Debug)]
pub struct Client {
    /// The service's name, such as `booking`.
    #[arg(long)]
    pub id: String,
    /// A file with the secret: at least 32 bytes, best from a random source.
    #[arg(long)]
    pub secret_file: PathBuf,
}

impl kit::service::Config for Config {
    type Command = Command;

    fn command(&self) -> Option<Command> {
        self.command.clone().filter(|command| !matches!(command, Command::Serve))
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
        &self.auth_key_encryption_key
    }

    fn check(&self) -> Result<(), String> {
        let environment = self.observability.environment.to_ascii_lowercase();
        if self.command().is_some() || !matches!(environment.as_str(), "production" | "prod") {
            return Ok(());
        }
        if self.mail.smtp_url.is_none() {
            return Err("SMTP_URL is not set: in production, members need mail to verify an address and to choose \
                        a new password"
                .to_owned());
        }
        Ok(())
    }
}

/// Checks the key when it is read, so that a wrong one is reported like any other wrong variable.
fn sealing(text: &str) -> anyhow::Result<SecretString> {
    let secret = text.to_owned().into();
    Keyring::new(&secret).map(|_| secret)
}

#[cfg(test)]
mod tests {
    use kit::service::Config as _;

    use super::*;

    fn check(arguments: &[&str]) -> Result<(), String> {
        let key = "01".repeat(32);
        let line = [
            "auth",
            "--http-listen=127.0.0.1:0",
            "--grpc-listen=127.0.0.1:0",
            "--admin-listen=127.0.0.1:0",
            "--database-url=postgres://127.0.0.1/auth",
            "--auth-key-encryption-key",
            &key,
        ];
        Config::try_parse_from(line.iter().chain(arguments)).unwrap().check()
    }

    #[test]
    fn production_needs_a_way_for_mail() {
        let production = "--environment=Production";
        check(&[production, "--smtp-url=smtps://mail.example.org"]).unwrap();
        for arguments in [vec![production], vec![production, "--mail-sink-dir=/tmp"]] {
            let refused = check(&arguments).unwrap_err();
            assert!(refused.starts_with("SMTP_URL"), "{arguments:?}: {refused}");
        }
        // A developer's machine and an operator's commands need none.
        check(&[]).unwrap();
        check(&[production, "rotate-keys"]).unwrap();
    }
}
