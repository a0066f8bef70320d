use kit::{command, postgres};
use uuid::Uuid;

use super::{AddService, Bookings, Error};
use crate::domain::Service;
use crate::store;

/// Changes what is offered from now on. Only the merchant's owner may. Bookings that exist keep their price
/// and their length.
pub struct EditService {
    pub service_id: Uuid,
    /// The version that was read.
    pub seen: i64,
    pub becomes: AddService,
}

impl Bookings {
    /// Replaces what was said before; [`Error::VersionConflict`] when that is not what was read.
    pub async fn edit_service(&self, wanted: EditService) -> Result<Service, Error> {
        let this = self.clone();
        command::run(async move {
            let EditService { service_id, seen, becomes } = wanted;
            let owner = becomes.owner.id();
            let service = Service {
                service_id,
                merchant_id: becomes.merchant_id,
                name: becomes.name.as_str().to_owned(),
                duration_minutes: becomes.length.duration_minutes(),
                buffer_minutes: becomes.length.buffer_minutes(),
                price_minor: becomes.price.minor(),
                version: seen + 1,
            };
            let mut tx = postgres::begin(&this.db).await?;
            let version = store::lock_service(&mut tx, owner, service.merchant_id, service_id);
            if version.await?.ok_or(Error::UnknownService)? != seen {
                return Err(Error::VersionConflict);
            }
            store::update_service(&mut tx, &service).await?;
            postgres::commit(tx).await?;
            Ok(service)
        })
        .await
    }
}
