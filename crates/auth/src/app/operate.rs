use anyhow::{Context as _, ensure};
use kit::caller::Role;
use kit::postgres;
use tokio::fs;

use super::{Auth, ClientSecret};
use crate::config::{Client, Grant, Operation};
use crate::domain::Email;
use crate::store::members;

impl Auth {
    /// Does what an operator asked for on the command line.
    pub async fn operate(&self, operation: Operation) -> anyhow::Result<()> {
        match operation {
            Operation::Grant(command) => self.grant(&command).await,
            Operation::RotateKeys(command) => self.rotate_keys(command.leaked).await,
            Operation::Client(command) => self.install_client(&command).await,
        }
    }

    /// A role is in a member's tokens from the next login on.
    pub async fn grant(&self, command: &Grant) -> anyhow::Result<()> {
        let email = Email::parse(&command.email)?;
        ensure!(command.role != Role::Member, "everybody is a member already");
        let role = command.role.as_str();

        let mut tx = postgres::begin(&self.db).await?;
        let known = members::grant(&mut tx, &email, role, self.clock.now()).await?;
        postgres::commit(tx).await?;
        ensure!(known, "nobody has registered with this address");
        tracing::info!(role, "granted");
        Ok(())
    }

    /// Creates a service client, or replaces its secret.
    pub async fn install_client(&self, command: &Client) -> anyhow::Result<()> {
        let file = &command.secret_file;
        let secret = fs::read_to_string(file)
            .await
            .with_context(|| format!("cannot read {}", file.display()))?;
        // An editor ends a file with a newline, and nobody means it.
        let secret = ClientSecret::new(secret.trim_end().to_owned().into())?;
        self.put_client(&command.id, &secret).await
    }
}
