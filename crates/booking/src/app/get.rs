use kit::postgres;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Actor, Booking};
use crate::store::{self, Access};

impl Bookings {
    /// Returns a booking to the member who made it and to the merchant's owner. Another's looks like a missing one.
    pub async fn get(&self, actor: Actor, booking: Uuid) -> Result<Booking, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::find_booking(&mut conn, booking, actor).await?.ok_or(Error::UnknownBooking)
    }

    /// Returns any booking, to a service that the allowlist trusts.
    pub async fn get_for_service(&self, booking: Uuid) -> Result<Booking, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::find_booking(&mut conn, booking, Access::ALL).await?.ok_or(Error::UnknownBooking)
    }
}
