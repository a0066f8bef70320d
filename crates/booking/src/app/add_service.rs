use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Length, Name, Owner, Price, Service};
use crate::store;

/// Adds a service. For the merchant's owner.
pub struct AddService {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub name: Name,
    pub length: Length,
    pub price: Price,
}

impl Bookings {
    /// Answers the [`Service`]. Another's merchant looks like a missing one.
    pub async fn add_service(
        &self,
        key: Key,
        wanted: AddService,
    ) -> Result<Answer<Service>, Error> {
        let mut work = match command::begin(&self.db, wanted.owner.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let service = Service {
            service_id: self.clock.id(),
            merchant_id: wanted.merchant_id,
            name: wanted.name.as_str().to_owned(),
            duration_minutes: wanted.length.duration_minutes(),
            buffer_minutes: wanted.length.buffer_minutes(),
            price_minor: wanted.price.minor(),
            version: 1,
        };
        let now = self.clock.now();
        if !store::insert_service(&mut work, wanted.owner.id(), &service, now).await? {
            return Err(Error::UnknownMerchant);
        }
        Ok(work.commit(Success::Created, service).await?)
    }
}
