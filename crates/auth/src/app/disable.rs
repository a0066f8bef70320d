use kit::postgres;
use uuid::Uuid;

use super::notices::Notice;
use super::{Auth, Error};
use crate::domain::Actor;
use crate::store::events::Event;
use crate::store::members;
use crate::store::sessions::Selection;

impl Auth {
    /// Disables an account and ends its sessions. Logins then fail as with a wrong password. Does nothing the second
    /// time.
    pub async fn disable(&self, member: Uuid, by: Actor<'_>) -> Result<(), Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let disabled = members::lock(&mut tx, member).await?.ok_or(Error::MemberNotFound)?;
        if disabled {
            return Ok(());
        }
        members::set_disabled(&mut tx, member, true).await?;
        let kind = "account_disabled";
        let ended = self.end_sessions(&mut tx, member, Selection::All, kind, by).await?;
        self.record(&mut tx, Event::new(kind, by).of(member)).await?;
        self.notify(&mut tx, member, Notice::AccountDisabled).await?;
        postgres::commit(tx).await?;
        self.revoke_locally(&ended);
        Ok(())
    }

    /// Enables an account again. Its sessions stay ended.
    pub async fn enable(&self, member: Uuid, by: Actor<'_>) -> Result<(), Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let disabled = members::lock(&mut tx, member).await?.ok_or(Error::MemberNotFound)?;
        if !disabled {
            return Ok(());
        }
        members::set_disabled(&mut tx, member, false).await?;
        self.record(&mut tx, Event::new("account_enabled", by).of(member)).await?;
        self.notify(&mut tx, member, Notice::AccountEnabled).await?;
        postgres::commit(tx).await?;
        Ok(())
    }
}
