use axum::http::StatusCode;
use kit::command;
use kit::idempotency::{self, Answer, Key};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Name, TimeZone};
use crate::store;

/// Opens a merchant's calendar. Whoever creates it owns it.
pub struct CreateMerchant {
    pub owner_id: Uuid,
    pub name: String,
    pub time_zone: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Merchant {
    pub merchant_id: Uuid,
    pub name: String,
    pub time_zone: &'static str,
}

impl Bookings {
    /// 201 with the [`Merchant`].
    pub async fn create_merchant(&self, key: Key, wanted: CreateMerchant) -> Result<Answer, Error> {
        let name = Name::try_new(&wanted.name)?;
        let zone: TimeZone = wanted.time_zone.parse()?;
        let (this, owner) = (self.clone(), wanted.owner_id);
        command::run(async move { this.open(owner, &key, &name, zone).await }).await
    }

    async fn open(
        &self,
        owner: Uuid,
        key: &Key,
        name: &Name,
        zone: TimeZone,
    ) -> Result<Answer, Error> {
        let principal = owner.to_string();
        let mut tx = self.db.begin().await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let merchant = Merchant {
            merchant_id: self.clock.id(),
            name: name.as_str().to_owned(),
            time_zone: zone.name(),
        };
        store::insert_merchant(&mut tx, owner, &merchant, self.clock.now()).await?;

        let answer = Answer::json(StatusCode::CREATED, &merchant);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        tx.commit().await?;
        Ok(answer)
    }
}
