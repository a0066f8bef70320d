use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Actor, Booking, Occasion, Status};
use crate::store;

impl Bookings {
    /// Answers the [`Booking`], `cancelled`. For the merchant's owner at any time. For the member, a hold at any
    /// time, a booking until the cancellation notice, and any booking at a closed merchant.
    pub async fn cancel(
        &self,
        actor: Actor,
        key: Key,
        booking: Uuid,
    ) -> Result<Answer<Booking>, Error> {
        let mut work = match command::begin(&self.db, actor.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let booking =
            store::lock_booking(&mut work, booking, actor).await?.ok_or(Error::UnknownBooking)?;
        if booking.status == Status::Confirmed {
            let terms = store::terms(&mut work, booking.merchant_id).await?;
            if !actor.owns(terms.owner_id) && terms.owner_id.is_some() {
                terms.notice.allows(booking.starts_at, self.clock.now())?;
            }
        }
        let (booking, saga) = self.cancel_booking(&mut work, booking).await?;

        let (booking_id, merchant_id) = (booking.booking_id, booking.merchant_id);
        let answer = work.commit(Success::Ok, booking).await?;
        tracing::info!(booking.id = %booking_id, merchant.id = %merchant_id, "booking cancelled");
        if let Some(saga) = saga {
            drop(self.drive_in_background(saga)); // the caller need not wait
        }
        Ok(answer)
    }

    /// Cancels a booking with its message and its payment. Returns the saga to drive after the commit.
    pub(super) async fn cancel_booking(
        &self,
        conn: &mut PgConnection,
        booking: Booking,
    ) -> Result<(Booking, Option<Uuid>), Error> {
        let was_confirmed = booking.status == Status::Confirmed;
        let status = booking.status.cancel()?;
        let booking = Booking { status, expires_at: None, ..booking };
        store::free_slot(conn, &booking, self.clock.now()).await?;
        if was_confirmed {
            self.notify_instead(conn, &booking, Occasion::Cancelled).await?;
        }
        let saga = self.cancel_payment(conn, &booking).await?;
        Ok((booking, saga))
    }
}
