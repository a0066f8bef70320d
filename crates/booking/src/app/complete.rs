use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::outbox::{self, Event};
use kit::{command, postgres};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use uuid::Uuid;

use super::confirm::lock_with_calendars;
use super::{Bookings, Error, Owner};
use crate::domain::Booking;
use crate::store;

/// The kind of event that says a booking was completed.
pub const BOOKING_COMPLETED: &str = "booking.completed";

/// Its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BookingCompleted {
    pub booking_id: Uuid,
    pub merchant_id: Uuid,
    pub member_id: Uuid,
    pub price_minor: i64,
    #[serde(default)]
    pub points_paid: i64,
    /// The part of the price that they paid, which earns none. Versions from before do not say it: as much as
    /// the points.
    #[serde(default)]
    pub points_value_minor: Option<i64>,
    /// Of the price, the merchant's. Versions from before do not say it, and neither the time.
    #[serde(default)]
    pub currency: Option<String>,
    /// When it was completed: what the price is worth in points is what it was worth then.
    #[serde(default)]
    pub occurred_at: Option<DateTime<Utc>>,
}

impl Bookings {
    /// 200 with the [`Booking`], now `completed`; the member's points follow through the outbox.
    /// Only the merchant's owner may.
    pub async fn complete(&self, owner: Owner, key: Key, booking: Uuid) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.finish(owner, &key, booking).await }).await
    }

    async fn finish(&self, owner: Owner, key: &Key, booking: Uuid) -> Result<Answer, Error> {
        let principal = owner.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        lock_with_calendars(&mut tx, booking, owner.into(), None).await?;
        let booking = store::lock_booking_of_owner(&mut tx, booking, owner.id())
            .await?
            .ok_or(Error::UnknownBooking)?;
        let booking = Booking { status: booking.status.complete()?, ..booking };
        store::update_status(&mut tx, &booking, self.clock.now()).await?;
        self.publish_completed(&mut tx, &booking).await?;

        let answer = Answer::json(StatusCode::OK, &booking);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "completed");
        Ok(answer)
    }

    async fn publish_completed(
        &self,
        tx: &mut PgConnection,
        booking: &Booking,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let currency = store::terms(tx, booking.merchant_id).await?.currency;
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
        Ok(outbox::publish(tx, &event).await?)
    }
}
