use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Actor, Booking, Occasion, Status};
use crate::store;

impl Bookings {
    /// Answers the [`Booking`], `confirmed`, even when it was confirmed before. The whole price is paid at the
    /// merchant. For the member who holds it and for the merchant's owner.
    pub async fn confirm(
        &self,
        actor: Actor,
        key: Key,
        booking: Uuid,
    ) -> Result<Answer<Booking>, Error> {
        let mut work = match command::begin(&self.db, actor.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let (found, calendar) = store::lock_booking_in_calendar(&mut work, booking, actor, None)
            .await?
            .ok_or(Error::UnknownBooking)?;
        let was_confirmed = found.status == Status::Confirmed;
        let booking = Booking { status: found.status.confirm()?, expires_at: None, ..found };
        if !was_confirmed {
            let (merchant_id, booking_id) = (booking.merchant_id, booking.booking_id);
            if store::saga_of_booking(&mut work, merchant_id, booking_id).await?.is_some() {
                return Err(Error::ConfirmationInProgress);
            }
            store::terms(&mut work, merchant_id).await?.check_open()?;
            store::update_booking(&mut work, &calendar, &booking, self.clock.now()).await?;
            self.notify(&mut work, &booking, Occasion::Booked).await?;
        }

        let (booking_id, merchant_id) = (booking.booking_id, booking.merchant_id);
        let answer = work.commit(Success::Ok, booking).await?;
        tracing::info!(booking.id = %booking_id, merchant.id = %merchant_id, "booking confirmed");
        Ok(answer)
    }
}
