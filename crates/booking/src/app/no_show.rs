use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use uuid::Uuid;

use super::{Bookings, Error, Owner};
use crate::domain::Booking;
use crate::store;

impl Bookings {
    /// 200 with the [`Booking`], now `no_show`, once it should have begun. Only the merchant's owner may.
    pub async fn no_show(&self, owner: Owner, key: Key, booking: Uuid) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.miss(owner, &key, booking).await }).await
    }

    async fn miss(&self, owner: Owner, key: &Key, booking: Uuid) -> Result<Answer, Error> {
        let principal = owner.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let booking = store::lock_booking_of_owner(&mut tx, booking, owner.id())
            .await?
            .ok_or(Error::UnknownBooking)?;
        let booking = Booking { status: booking.status.miss()?, ..booking };
        let now = self.clock.now();
        if now < booking.starts_at {
            return Err(Error::NotStarted);
        }
        store::update_status(&mut tx, &booking, now).await?;

        let answer = Answer::json(StatusCode::OK, &booking);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "missed");
        Ok(answer)
    }
}
