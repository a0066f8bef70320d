//! The connections of merchants and members with LINE.

use kit::postgres;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Actor, Owner};
use crate::store;
use crate::view::Notifications;

impl Bookings {
    /// Connects the merchant's channel, or replaces its token. For the merchant's owner.
    pub async fn connect_line(
        &self,
        owner: Owner,
        merchant: Uuid,
        token: SecretString,
    ) -> Result<(), Error> {
        let seal = self.seal.as_ref().ok_or(Error::LineNotConfigured)?;
        let sealed = seal.seal(merchant, token.expose_secret()).map_err(Error::Seal)?;
        let mut tx = postgres::begin(&self.db).await?;
        if !store::upsert_channel(&mut tx, owner.id(), merchant, &sealed).await? {
            return Err(Error::UnknownMerchant);
        }
        Ok(postgres::commit(tx).await?)
    }

    /// Disconnects the merchant's channel. For the merchant's owner.
    pub async fn disconnect_line(&self, owner: Owner, merchant: Uuid) -> Result<(), Error> {
        let mut tx = postgres::begin(&self.db).await?;
        if !store::delete_channel(&mut tx, owner.id(), merchant).await? {
            return Err(Error::UnknownMerchant);
        }
        Ok(postgres::commit(tx).await?)
    }

    /// Ends the messages to a member.
    pub async fn leave_line(&self, member: Uuid, merchant: Uuid) -> Result<(), Error> {
        let mut tx = postgres::begin(&self.db).await?;
        if !store::delete_contact(&mut tx, merchant, member).await? {
            return Err(Error::UnknownMerchant);
        }
        Ok(postgres::commit(tx).await?)
    }

    /// Returns the messages about a booking to the merchant's owner, and an empty list to the member.
    pub async fn notifications(&self, actor: Actor, booking: Uuid) -> Result<Notifications, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let found = store::find_booking(&mut conn, booking, actor).await?;
        found.ok_or(Error::UnknownBooking)?;
        let Some(owner) = actor.owner() else { return Ok(Notifications { items: Vec::new() }) };
        let items = store::list_notifications(&mut conn, owner.id(), booking).await?;
        Ok(Notifications { items })
    }
}
