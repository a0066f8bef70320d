use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Booking, Owner};
use crate::store;

impl Bookings {
    /// Answers the [`Booking`], `no_show`, after its start. For the merchant's owner.
    pub async fn no_show(
        &self,
        owner: Owner,
        key: Key,
        booking: Uuid,
    ) -> Result<Answer<Booking>, Error> {
        let mut work = match command::begin(&self.db, owner.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let booking =
            store::lock_booking(&mut work, booking, owner).await?.ok_or(Error::UnknownBooking)?;
        let booking = Booking { status: booking.status.no_show()?, ..booking };
        let now = self.clock.now();
        if now < booking.starts_at {
            return Err(Error::NotStarted);
        }
        store::free_slot(&mut work, &booking, now).await?;

        let (booking_id, merchant_id) = (booking.booking_id, booking.merchant_id);
        let answer = work.commit(Success::Ok, booking).await?;
        tracing::info!(booking.id = %booking_id, merchant.id = %merchant_id, "booking missed");
        Ok(answer)
    }
}
