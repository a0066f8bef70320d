use axum::http::StatusCode;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bookings, By, Error};
use crate::domain::{Booking, Occasion, Status};
use crate::store;

impl Bookings {
    /// 200 with the [`Booking`], now `confirmed`, also when it was already. All of it is paid at the
    /// merchant's. For the member who holds it and for the merchant's owner.
    pub async fn confirm(&self, by: By, key: Key, booking: Uuid) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.make_firm(by, &key, booking).await }).await
    }

    async fn make_firm(&self, by: By, key: &Key, booking: Uuid) -> Result<Answer, Error> {
        let principal = by.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let found = lock_with_calendars(&mut tx, booking, by, None).await?;
        let status = found.status.confirm()?;
        if found.status == Status::Held
            && store::saga_of_booking(&mut tx, found.merchant_id, booking).await?.is_some()
        {
            return Err(Error::ConfirmationInProgress);
        }
        let is_news = found.status != Status::Confirmed;
        if is_news {
            store::terms(&mut tx, found.merchant_id).await?.open()?;
        }
        let booking = Booking { status, expires_at: None, ..found };
        if is_news {
            store::update_status(&mut tx, &booking, self.clock.now()).await?;
            self.tell_member(&mut tx, &booking, Occasion::Booked).await?;
        }

        let answer = Answer::json(StatusCode::OK, &booking);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "confirmed");
        Ok(answer)
    }
}

/// A booking with the calendar it is in, and another one, held until the transaction ends. The
/// calendars come first, as for everyone who takes both.
pub(super) async fn lock_with_calendars(
    conn: &mut PgConnection,
    booking: Uuid,
    by: By,
    other: Option<Uuid>,
) -> Result<Booking, Error> {
    loop {
        let (merchant, staff) =
            store::staff_of_booking(conn, booking, by).await?.ok_or(Error::UnknownBooking)?;
        let staff_and_other: Vec<_> = [staff].into_iter().chain(other).collect();
        store::lock_staff(conn, merchant, &staff_and_other).await?;
        let found = store::lock_booking(conn, booking, by).await?.ok_or(Error::UnknownBooking)?;
        if found.staff_id == staff {
            return Ok(found);
        } // else it was moved in between
    }
}
