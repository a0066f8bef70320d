use chrono::{DateTime, Utc};
use kit::{command, postgres};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bookings, By, Error, Owner};
use crate::store;

/// What was told about a booking, and how it went.
#[derive(Debug, Serialize, ToSchema)]
pub struct Notification {
    pub notification_id: Uuid,
    /// `booked`, `reminder`, `moved` or `cancelled`.
    pub kind: String,
    /// `pending`, `sent`, `failed`, or `dropped`: it was not true any more.
    pub status: String,
    /// Why it failed, or why it has not been sent yet.
    pub error_reason: Option<String>,
    pub attempts: i32,
    pub created_at: DateTime<Utc>,
    pub settled_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Notifications {
    /// The oldest first.
    pub items: Vec<Notification>,
}

/// How merchants and members are joined at LINE.
impl Bookings {
    /// Connects the merchant's channel, or gives it another token. Only the owner may.
    pub async fn connect_line(
        &self,
        owner: Owner,
        merchant: Uuid,
        token: SecretString,
    ) -> Result<(), Error> {
        let this = self.clone();
        command::run(async move {
            let seal = this.seal.as_ref().ok_or(Error::LineNotConfigured)?;
            let sealed = seal.seal(merchant, token.expose_secret()).map_err(Error::Seal)?;
            let mut tx = postgres::begin(&this.db).await?;
            if !store::upsert_channel(&mut tx, owner.id(), merchant, &sealed).await? {
                return Err(Error::UnknownMerchant);
            }
            Ok(postgres::commit(tx).await?)
        })
        .await
    }

    pub async fn disconnect_line(&self, owner: Owner, merchant: Uuid) -> Result<(), Error> {
        let this = self.clone();
        command::run(async move {
            let mut tx = postgres::begin(&this.db).await?;
            if !store::delete_channel(&mut tx, owner.id(), merchant).await? {
                return Err(Error::UnknownMerchant);
            }
            Ok(postgres::commit(tx).await?)
        })
        .await
    }

    /// The member is told no longer.
    pub async fn leave_line(&self, member: Uuid, merchant: Uuid) -> Result<(), Error> {
        let this = self.clone();
        command::run(async move {
            let mut tx = postgres::begin(&this.db).await?;
            if !store::delete_contact(&mut tx, merchant, member).await? {
                return Err(Error::UnknownMerchant);
            }
            Ok(postgres::commit(tx).await?)
        })
        .await
    }

    /// To the merchant's owner; to the member an empty list.
    pub async fn notifications(&self, by: By, booking: Uuid) -> Result<Notifications, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let found = store::find_booking(&mut conn, booking, by).await?;
        found.ok_or(Error::UnknownBooking)?;
        let Some(owner) = by.owner() else { return Ok(Notifications { items: Vec::new() }) };
        let items = store::list_notifications(&mut conn, owner, booking).await?;
        Ok(Notifications { items })
    }
}
