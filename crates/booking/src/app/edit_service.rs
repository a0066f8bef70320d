use kit::postgres;
use uuid::Uuid;

use super::{AddService, Bookings, Error};
use crate::domain::Service;
use crate::store;

/// Changes a service. For the merchant's owner. Existing bookings keep their price and their length.
pub struct EditService {
    pub service_id: Uuid,
    /// The version that the client has read.
    pub seen: i64,
    pub becomes: AddService,
}

impl Bookings {
    /// Replaces the service. Refuses with [`Error::VersionConflict`] when the client has read another version.
    pub async fn edit_service(&self, wanted: EditService) -> Result<Service, Error> {
        let EditService { service_id, seen, becomes } = wanted;
        let service = Service {
            service_id,
            merchant_id: becomes.merchant_id,
            name: becomes.name.as_str().to_owned(),
            duration_minutes: becomes.length.duration_minutes(),
            buffer_minutes: becomes.length.buffer_minutes(),
            price_minor: becomes.price.minor(),
            version: seen + 1,
        };
        let mut tx = postgres::begin(&self.db).await?;
        let (owner, merchant) = (becomes.owner.id(), service.merchant_id);
        let version = store::lock_service(&mut tx, owner, merchant, service_id)
            .await?
            .ok_or(Error::UnknownService)?;
        if version != seen {
            return Err(Error::VersionConflict);
        }
        store::update_service(&mut tx, &service).await?;
        postgres::commit(tx).await?;
        Ok(service)
    }
}
