//! Everything an operator may set, read once at start.

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
    /// Seals the signing keys in the database: at least 32 bytes, in base64 or hexadecimal.
    #[arg(long, env = "AUTH_KEY_ENCRYPTION_KEY", hide_env_values = true, value_parser = sealing)]
    pub auth_key_encryption_key: SecretString,
    /// Mixed into passwords before they are hashed, as version:key, with commas between: each key at least 32
    /// bytes in base64 or hexadecimal. Keep a version until no password uses it.
    #[arg(long, env = "PASSWORD_PEPPERS", hide_env_values = true)]
    pub password_peppers: Option<Peppers>,
    #[command(flatten)]
    pub mail: Mail,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// How mail leaves. With neither a server nor a directory it waits in the outbox; in production the service does not
/// start without a server.
#[derive(Args, Clone, Debug)]
pub struct Mail {
    /// smtps://user:password@host, or smtp://host:port?tls=required.
    #[arg(long, env = "SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// Without an SMTP server, mail becomes files in this directory.
    #[arg(long, env = "MAIL_SINK_DIR")]
    pub mail_sink_dir: Option<PathBuf>,
    /// Whom mail is from.
    #[arg(long, env = "MAIL_FROM", default_value = "no-reply@example.org")]
    pub mail_from: String,
}

#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Runs the service, which is what happens without a command.
    Serve,
    #[command(flatten)]
    Operate(Operation),
}

/// What is done beside the running service, in its environment.
#[derive(Clone, Debug, Subcommand)]
pub enum Operation {
    /// Gives a member a role. It is in their tokens from the next refresh on.
    Grant(Grant),
    /// Takes a role back, and signs the member out everywhere: no token keeps it.
    Revoke(Grant),
    /// Creates a service client, or replaces its secret.
    Client(Client),
    /// Makes a new signing key. It is published now and signs in two minutes.
    RotateKeys(RotateKeys),
    /// Closes an account and ends its sessions. From outside it looks as if every password were wrong.
    Disable(Account),
    /// Opens it again.
    Enable(Account),
}

#[derive(Args, Clone, Debug)]
pub struct Grant {
    /// The address the member registered with.
    #[arg(long)]
    pub email: String,
    /// staff, merchant_admin or operator.
    #[arg(long)]
    pub role: Role,
}

/// One of the two.
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
    /// Somebody else may have a key: all old ones end now, and with them all access tokens.
    #[arg(long)]
    pub leaked: bool,
}

#[derive(Args, Clone, Debug)]
pub struct Client {
    /// The service's name, such as `booking`.
    #[arg(long)]
    pub id: String,
    /// A file that holds the secret: at least 32 bytes, best from a random source.
    #[arg(long)]
    pub secret_file: PathBuf,
}

impl kit::run::Config for Config {
    fn observability(&self) -> &observability::Config {
        &self.observability
    }

    fn edge(&self) -> &kit::config::Edge {
        &self.listen.edge
    }

    fn check(&self) -> Result<(), String> {
        let environment = self.observability.environment.to_ascii_lowercase();
        let serves = !matches!(self.command, Some(Command::Operate(_)));
        if !serves || !matches!(environment.as_str(), "production" | "prod") {
            return Ok(());
        }
        if self.mail.smtp_url.is_none() {
            return Err("SMTP_URL is not set: in production, members could neither verify an address nor choose \
                        a new password"
                .to_owned());
        }
        Ok(())
    }
}

/// Checked when it is read, so that a wrong one is reported like every wrong variable.
fn sealing(text: &str) -> anyhow::Result<SecretString> {
    let secret = text.to_owned().into();
    Keyring::new(&secret).map(|_| secret)
}

#[cfg(test)]
mod tests {
    use kit::run::Config as _;

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
        // Neither a machine of one's own, nor what an operator does beside the service.
        check(&[]).unwrap();
        check(&[production, "rotate-keys"]).unwrap();
    }
}
