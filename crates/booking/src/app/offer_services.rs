use kit::postgres;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::Owner;
use crate::store;
use crate::view::StaffServices;

/// Sets the services that a staff member gives. For the merchant's owner.
pub struct OfferServices {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub service_ids: Vec<Uuid>,
}

impl Bookings {
    /// Replaces the services. A repetition has no further effect.
    pub async fn offer_services(&self, wanted: OfferServices) -> Result<StaffServices, Error> {
        let OfferServices { owner, merchant_id, staff_id, mut service_ids } = wanted;
        service_ids.sort_unstable();
        service_ids.dedup();

        let mut tx = postgres::begin(&self.db).await?;
        if !store::staff_of_owner(&mut tx, owner.id(), merchant_id, staff_id).await? {
            return Err(Error::UnknownStaff);
        }
        store::lock_calendars(&mut tx, merchant_id, &[staff_id]).await?;
        store::replace_staff_services(&mut tx, merchant_id, staff_id, &service_ids)
            .await
            .map_err(unknown_service)?;
        postgres::commit(tx).await?;
        Ok(StaffServices { service_ids })
    }
}

fn unknown_service(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("staff_service_service_exists") => Error::UnknownService,
        _ => error.into(),
    }
}
