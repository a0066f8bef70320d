use kit::postgres;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Owner, Week};
use crate::store;

/// Sets the working hours of a staff member. For the merchant's owner. Existing bookings stay.
pub struct SetHours {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub week: Week,
}

impl Bookings {
    /// Replaces the working hours. A repetition has no further effect.
    pub async fn set_hours(&self, wanted: SetHours) -> Result<Week, Error> {
        let SetHours { owner, merchant_id, staff_id, week } = wanted;
        let mut tx = postgres::begin(&self.db).await?;
        if !store::staff_of_owner(&mut tx, owner.id(), merchant_id, staff_id).await? {
            return Err(Error::UnknownStaff);
        }
        let calendar = store::lock_calendars(&mut tx, merchant_id, &[staff_id]).await?;
        store::replace_hours(&mut tx, &calendar, staff_id, &week).await?;
        postgres::commit(tx).await?;
        Ok(week)
    }
}
