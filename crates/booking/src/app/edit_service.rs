use kit::{command, postgres};
use uuid::Uuid;

use super::{AddService, Bookings, Error};
use crate::domain::Service;
use crate::store;

/// Changes what is offered from now on. Only the merchant's owner may. Bookings that exist keep their price
/// and their length.
pub struct EditService {
    pub service_id: Uuid,
    pub becomes: AddService,
}

impl Bookings {
    /// Replaces what was said before; saying it twice changes nothing.
    pub async fn edit_service(&self, wanted: EditService) -> Result<Service, Error> {
        let this = self.clone();
        command::run(async move {
            let EditService { service_id, becomes } = wanted;
            let service = Service {
                service_id,
                merchant_id: becomes.merchant_id,
                name: becomes.name.as_str().to_owned(),
                duration_minutes: becomes.length.duration_minutes(),
                buffer_minutes: becomes.length.buffer_minutes(),
                price_minor: becomes.price.minor(),
            };
            let mut tx = postgres::begin(&this.db).await?;
            if !store::update_service(&mut tx, becomes.owner_id, &service).await? {
                return Err(Error::UnknownService);
            }
            postgres::commit(tx).await?;
            Ok(service)
        })
        .await
    }
}
