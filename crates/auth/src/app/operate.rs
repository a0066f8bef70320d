use anyhow::{Context as _, bail, ensure};
use kit::caller::Role;
use kit::postgres;
use tokio::fs;
use uuid::Uuid;

use super::{Auth, ClientSecret};
use crate::config::{Account, Client, Command, Grant};
use crate::domain::{Actor, Email};
use crate::store::events::Event;
use crate::store::members;
use crate::store::sessions::Selection;

const NOT_FOUND: &str = "no member has this address";

impl Auth {
    /// Runs an operator's command.
    pub async fn operate(&self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Serve => Ok(()),
            Command::Grant(command) => self.grant(&command).await,
            Command::Revoke(command) => self.revoke(&command).await,
            Command::RotateKeys(command) => self.rotate_keys(command.leaked).await,
            Command::Client(command) => self.install_client(&command).await,
            Command::Disable(account) => {
                let member = self.find(&account).await?;
                Ok(self.disable(member, Actor::CommandLine).await?)
            }
            Command::Enable(account) => {
                let member = self.find(&account).await?;
                Ok(self.enable(member, Actor::CommandLine).await?)
            }
        }
    }

    /// Gives a member a role, in their tokens from the next login or refresh on. Only for a verified address and a
    /// password chosen since: anybody may register any address, and would get the role.
    pub async fn grant(&self, command: &Grant) -> anyhow::Result<()> {
        let email = Email::parse(&command.email)?;
        ensure!(command.role != Role::Member, "every member has the role member");
        let role = command.role.as_str();

        let mut tx = postgres::begin(&self.db).await?;
        let granted = members::grant(&mut tx, &email, role, self.clock.now()).await?;
        let Some(member) = granted else {
            let member = members::by_email(&mut tx, &email).await?.context(NOT_FOUND)?;
            let profile = members::profile(&mut tx, member).await?.context(NOT_FOUND)?;
            ensure!(profile.verified, "the address is not verified; only its owner may get a role");
            bail!(
                "the password is older than the verification of the address; reset the password first"
            );
        };
        let event = Event::new("role_granted", Actor::CommandLine).of(member);
        self.record(&mut tx, event).await?;
        postgres::commit(tx).await?;
        self.forget_profile(member).await;
        tracing::info!(role, "role granted");
        Ok(())
    }

    /// Takes a role away. Its tokens end with their sessions.
    pub async fn revoke(&self, command: &Grant) -> anyhow::Result<()> {
        let email = Email::parse(&command.email)?;
        let role = command.role.as_str();
        let mut tx = postgres::begin(&self.db).await?;
        let held = members::revoke(&mut tx, &email, role).await?;
        let member = held.context("no member with this address has this role")?;
        let (kind, by) = ("role_revoked", Actor::CommandLine);
        self.end_sessions(&mut tx, member, Selection::All, kind, by).await?;
        let event = Event::new(kind, by).of(member);
        self.record(&mut tx, event).await?;
        postgres::commit(tx).await?;
        self.forget_profile(member).await;
        tracing::info!(role, "role revoked");
        Ok(())
    }

    /// Finds the member of an operator's command.
    pub async fn find(&self, account: &Account) -> anyhow::Result<Uuid> {
        if let Some(id) = account.account {
            return Ok(id);
        }
        let email = Email::parse(account.email.as_deref().unwrap_or_default())?;
        let mut conn = self.db.acquire().await?;
        members::by_email(&mut conn, &email).await?.context(NOT_FOUND)
    }

    /// Creates a service client, or replaces its secret.
    pub async fn install_client(&self, command: &Client) -> anyhow::Result<()> {
        let file = &command.secret_file;
        let secret = fs::read_to_string(file)
            .await
            .with_context(|| format!("cannot read {}", file.display()))?;
        // An editor ends a file with a newline, which is not part of the secret.
        let secret = ClientSecret::new(secret.trim_end().to_owned().into())?;
        self.put_client(&command.id, &secret).await
    }
}
