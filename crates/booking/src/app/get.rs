use kit::postgres;
use uuid::Uuid;

use super::{Bookings, By, Error};
use crate::domain::Booking;
use crate::store;

impl Bookings {
    /// A booking, to the member who booked it and to the merchant. Another's looks like a missing one.
    pub async fn get(&self, by: By, booking: Uuid) -> Result<Booking, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::find_booking(&mut conn, booking, by).await?.ok_or(Error::UnknownBooking)
    }

    /// A booking, to a service that the allowlist trusts with all of them.
    pub async fn get_for_service(&self, booking: Uuid) -> Result<Booking, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::find_any_booking(&mut conn, booking).await?.ok_or(Error::UnknownBooking)
    }
}
