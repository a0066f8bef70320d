use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bookings, Error, Owner};
use crate::domain::Name;
use crate::store;

/// Adds a person who can be booked. Only the merchant's owner may.
pub struct AddStaff {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub name: Name,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Staff {
    pub staff_id: Uuid,
    pub merchant_id: Uuid,
    pub name: String,
}

impl Bookings {
    /// 201 with the [`Staff`]. Another's merchant looks like a missing one.
    pub async fn add_staff(&self, key: Key, wanted: AddStaff) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.employ(&key, &wanted).await }).await
    }

    async fn employ(&self, key: &Key, wanted: &AddStaff) -> Result<Answer, Error> {
        let principal = wanted.owner.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let staff = Staff {
            staff_id: self.clock.id(),
            merchant_id: wanted.merchant_id,
            name: wanted.name.as_str().to_owned(),
        };
        if !store::insert_staff(&mut tx, wanted.owner.id(), &staff, self.clock.now()).await? {
            return Err(Error::UnknownMerchant);
        }

        let answer = Answer::json(StatusCode::CREATED, &staff);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        Ok(answer)
    }
}
