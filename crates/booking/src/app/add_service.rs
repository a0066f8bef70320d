use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use uuid::Uuid;

use super::{Bookings, Error, Owner};
use crate::domain::{Length, Name, Price, Service};
use crate::store;

/// Adds something that can be booked. Only the merchant's owner may.
pub struct AddService {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub name: Name,
    pub length: Length,
    pub price: Price,
}

impl Bookings {
    /// 201 with the [`Service`]. Another's merchant looks like a missing one.
    pub async fn add_service(&self, key: Key, wanted: AddService) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.offer(&key, &wanted).await }).await
    }

    async fn offer(&self, key: &Key, wanted: &AddService) -> Result<Answer, Error> {
        let principal = wanted.owner.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let service = Service {
            service_id: self.clock.id(),
            merchant_id: wanted.merchant_id,
            name: wanted.name.as_str().to_owned(),
            duration_minutes: wanted.length.duration_minutes(),
            buffer_minutes: wanted.length.buffer_minutes(),
            price_minor: wanted.price.minor(),
            version: 1,
        };
        if !store::insert_service(&mut tx, wanted.owner.id(), &service, self.clock.now()).await? {
            return Err(Error::UnknownMerchant);
        }

        let answer = Answer::json(StatusCode::CREATED, &service);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        Ok(answer)
    }
}
