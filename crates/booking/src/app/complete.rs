use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use kit::outbox::{self, Event};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{BOOKING_COMPLETED, Booking, BookingCompleted, Owner};
use crate::store;

impl Bookings {
    /// Answers the [`Booking`], `completed`. The member's points follow through the outbox. For the merchant's
    /// owner.
    pub async fn complete(
        &self,
        owner: Owner,
        key: Key,
        booking: Uuid,
    ) -> Result<Answer<Booking>, Error> {
        let mut work = match command::begin(&self.db, owner.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let (found, calendar) = store::lock_booking_in_calendar(&mut work, booking, owner, None)
            .await?
            .ok_or(Error::UnknownBooking)?;
        let booking = Booking { status: found.status.complete()?, ..found };
        store::update_booking(&mut work, &calendar, &booking, self.clock.now()).await?;
        self.publish_completed(&mut work, &booking).await?;

        let (booking_id, merchant_id) = (booking.booking_id, booking.merchant_id);
        let answer = work.commit(Success::Ok, booking).await?;
        tracing::info!(booking.id = %booking_id, merchant.id = %merchant_id, "booking completed");
        Ok(answer)
    }

    /// Publishes the event from which points computes the earning, in the transaction that completes the booking.
    async fn publish_completed(
        &self,
        conn: &mut PgConnection,
        booking: &Booking,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let currency = store::terms(conn, booking.merchant_id).await?.currency;
        let payload = BookingCompleted {
            booking_id: booking.booking_id,
            merchant_id: booking.merchant_id,
            member_id: booking.member_id,
            price_minor: booking.price_minor,
            points_paid: booking.points_paid,
            points_value_minor: Some(booking.points_value_minor),
            currency: Some(currency),
            occurred_at: Some(now),
        };
        let event = Event {
            id: self.clock.id(),
            aggregate: format!("booking:{}", booking.booking_id),
            kind: BOOKING_COMPLETED.to_owned(),
            payload: serde_json::json!(payload),
            occurred_at: now,
        };
        Ok(outbox::publish(conn, &event).await?)
    }
}
