use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bookings, By, Error};
use crate::domain::{Booking, Occasion, Status};
use crate::store;

impl Bookings {
    /// 200 with the [`Booking`], now `cancelled`. For the merchant's owner, and for the
    /// member: a hold at any time, a booking while the merchant's terms allow it, and one at a closed merchant.
    pub async fn cancel(&self, by: By, key: Key, booking: Uuid) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.free_slot(by, &key, booking).await }).await
    }

    async fn free_slot(&self, by: By, key: &Key, booking: Uuid) -> Result<Answer, Error> {
        let principal = by.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let booking =
            store::lock_booking(&mut tx, booking, by).await?.ok_or(Error::UnknownBooking)?;
        let now = self.clock.now();
        if booking.status == Status::Confirmed {
            let terms = store::terms(&mut tx, booking.merchant_id).await?;
            if !by.owns(terms.owner_id) && terms.owner_id.is_some() {
                terms.notice.allows(booking.starts_at, now)?;
            }
        }
        let (booking, payment) = self.call_off(&mut tx, booking).await?;

        let answer = Answer::json(StatusCode::OK, &booking);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "cancelled");
        if let Some(saga) = payment {
            command::detach(self.drive_beside(saga)); // whoever cancels need not wait
        }
        Ok(answer)
    }

    /// Cancels it in this transaction, with what is to be told and its payment. Which saga is to be driven then.
    pub(super) async fn call_off(
        &self,
        tx: &mut PgConnection,
        booking: Booking,
    ) -> Result<(Booking, Option<Uuid>), Error> {
        let was_booked = booking.status == Status::Confirmed;
        let status = booking.status.cancel()?;
        let booking = Booking { status, expires_at: None, ..booking };
        store::update_status(tx, &booking, self.clock.now()).await?;
        if was_booked {
            self.tell_instead(tx, &booking, Occasion::Cancelled).await?;
        }
        let payment = self.take_back(tx, &booking).await?;
        Ok((booking, payment))
    }
}
