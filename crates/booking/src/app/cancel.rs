use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::Booking;
use crate::store;

impl Bookings {
    /// 200 with the [`Booking`], now `cancelled`. For the member who booked and for the merchant.
    pub async fn cancel(&self, by: Uuid, key: Key, booking: Uuid) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.free_slot(by, &key, booking).await }).await
    }

    async fn free_slot(&self, by: Uuid, key: &Key, booking: Uuid) -> Result<Answer, Error> {
        let principal = by.to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let booking =
            store::lock_booking(&mut tx, booking, by).await?.ok_or(Error::UnknownBooking)?;
        let booking = Booking { status: booking.status.cancel()?, ..booking };
        store::update_status(&mut tx, &booking, self.clock.now()).await?;

        let answer = Answer::json(StatusCode::OK, &booking);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "cancelled");
        Ok(answer)
    }
}
