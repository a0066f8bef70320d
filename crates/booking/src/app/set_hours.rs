use kit::{command, postgres};
use uuid::Uuid;

use super::{Bookings, Error, Owner};
use crate::domain::Week;
use crate::store;

/// Says when a person works. Only the merchant's owner may. Bookings that exist stay.
pub struct SetHours {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub week: Week,
}

impl Bookings {
    /// Replaces what was said before; saying it twice changes nothing.
    pub async fn set_hours(&self, wanted: SetHours) -> Result<Week, Error> {
        let this = self.clone();
        command::run(async move { this.schedule(wanted).await }).await
    }

    async fn schedule(&self, wanted: SetHours) -> Result<Week, Error> {
        let SetHours { owner, merchant_id, staff_id, week } = wanted;
        let mut tx = postgres::begin(&self.db).await?;
        if !store::staff_of_owner(&mut tx, owner.id(), merchant_id, staff_id).await? {
            return Err(Error::UnknownStaff);
        }
        store::lock_staff(&mut tx, merchant_id, &[staff_id]).await?;
        store::replace_hours(&mut tx, merchant_id, staff_id, &week).await?;
        postgres::commit(tx).await?;
        Ok(week)
    }
}
