use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Name, Owner};
use crate::store;
use crate::view::Staff;

/// Adds a staff member. For the merchant's owner.
pub struct AddStaff {
    pub owner: Owner,
    pub merchant_id: Uuid,
    pub name: Name,
}

impl Bookings {
    /// Answers the [`Staff`]. Another's merchant looks like a missing one.
    pub async fn add_staff(&self, key: Key, wanted: AddStaff) -> Result<Answer<Staff>, Error> {
        let mut work = match command::begin(&self.db, wanted.owner.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let staff = Staff {
            staff_id: self.clock.id(),
            merchant_id: wanted.merchant_id,
            name: wanted.name.as_str().to_owned(),
        };
        if !store::insert_staff(&mut work, wanted.owner.id(), &staff, self.clock.now()).await? {
            return Err(Error::UnknownMerchant);
        }
        Ok(work.commit(Success::Created, staff).await?)
    }
}
