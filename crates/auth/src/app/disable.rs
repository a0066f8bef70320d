use kit::{command, postgres};
use uuid::Uuid;

use super::notices::Notice;
use super::{Auth, Error};
use crate::domain::Actor;
use crate::store::events::Event;
use crate::store::members;
use crate::store::sessions::Which;

impl Auth {
    /// Disables an account and ends its sessions. Logins then fail as with a wrong password. Does nothing the second
    /// time.
    pub async fn disable(&self, member: Uuid, by: Actor<'static>) -> Result<(), Error> {
        let auth = self.clone();
        command::run(async move { auth.set_disabled(member, true, by).await }).await
    }

    /// Enables an account again. Its sessions stay ended.
    pub async fn enable(&self, member: Uuid, by: Actor<'static>) -> Result<(), Error> {
        let auth = self.clone();
        command::run(async move { auth.set_disabled(member, false, by).await }).await
    }

    async fn set_disabled(&self, member: Uuid, disabled: bool, by: Actor<'_>) -> Result<(), Error> {
        let (kind, notice) = if disabled {
            ("account_disabled", Notice::AccountDisabled)
        } else {
            ("account_enabled", Notice::AccountEnabled)
        };
        let mut tx = postgres::begin(&self.db).await?;
        let before = members::lock(&mut tx, member).await?.ok_or(Error::MemberNotFound)?;
        if before == disabled {
            return Ok(());
        }
        members::set_disabled(&mut tx, member, disabled).await?;
        let ended = if disabled {
            self.end_within(&mut tx, member, Which::All, kind, by).await?
        } else {
            Vec::new()
        };
        self.note(&mut tx, Event::new(kind, by).of(member)).await?;
        self.tell(&mut tx, member, notice).await?;
        postgres::commit(tx).await?;
        self.announce(&ended);
        Ok(())
    }
}
