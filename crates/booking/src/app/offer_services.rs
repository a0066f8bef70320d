use kit::{command, postgres};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bookings, Error, Owner};
use crate::store;

/// Says which services a person gives. Only the merchant's owner may.
pub struct OfferServices {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub service_ids: Vec<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StaffServices {
    pub service_ids: Vec<Uuid>,
}

impl Bookings {
    /// Replaces what was said before; saying it twice changes nothing.
    pub async fn offer_services(&self, wanted: OfferServices) -> Result<StaffServices, Error> {
        let this = self.clone();
        command::run(async move { this.assign(wanted).await }).await
    }

    async fn assign(&self, wanted: OfferServices) -> Result<StaffServices, Error> {
        let OfferServices { owner, merchant_id, staff_id, mut service_ids } = wanted;
        service_ids.sort_unstable();
        service_ids.dedup();

        let mut tx = postgres::begin(&self.db).await?;
        if !store::staff_of_owner(&mut tx, owner.id(), merchant_id, staff_id).await? {
            return Err(Error::UnknownStaff);
        }
        store::lock_staff(&mut tx, merchant_id, &[staff_id]).await?;
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
