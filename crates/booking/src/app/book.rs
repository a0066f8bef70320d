use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Booking, Interval, Price, Status};
use crate::metrics::{self, Attempt};
use crate::store;

/// Takes a slot of one of a merchant's staff.
#[derive(Clone, Debug)]
pub struct Book {
    pub member_id: Uuid,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub interval: Interval,
    pub price: Price,
}

impl Bookings {
    /// 201 with the [`Booking`], at once `confirmed`; [`Error::SlotTaken`] when it overlaps another.
    #[tracing::instrument(skip_all, fields(merchant.id = %wanted.merchant_id))]
    pub async fn book(&self, key: Key, wanted: Book) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move {
            let attempt = Attempt::start();
            let outcome = this.take_slot(&key, &wanted).await;
            attempt.settle(&outcome);
            outcome
        })
        .await
    }

    async fn take_slot(&self, key: &Key, wanted: &Book) -> Result<Answer, Error> {
        let principal = wanted.member_id.to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        // Only now: a replay must answer alike after the slot has passed.
        let now = self.clock.now();
        wanted.interval.bookable_at(now)?;
        let booking = wanted.confirmed(self.clock.id(), now);
        let (merchant, staff) = (booking.merchant_id, booking.staff_id);
        let over = store::expire_holds(&mut tx, merchant, staff, booking.occupied()).await?;
        if !store::insert_booking(&mut tx, &booking).await.map_err(unknown_staff)? {
            return Err(Error::SlotTaken);
        }

        let answer = Answer::json(StatusCode::CREATED, &booking);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        metrics::expired(over);
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "booked");
        Ok(answer)
    }
}

impl Book {
    fn confirmed(&self, booking_id: Uuid, now: DateTime<Utc>) -> Booking {
        Booking {
            booking_id,
            merchant_id: self.merchant_id,
            staff_id: self.staff_id,
            member_id: self.member_id,
            service_id: None,
            starts_at: self.interval.starts_at(),
            ends_at: self.interval.ends_at(),
            buffer_minutes: 0,
            status: Status::Confirmed,
            expires_at: None,
            price_minor: self.price.minor(),
            created_at: now,
        }
    }
}

fn unknown_staff(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("booking_staff_exists") => Error::UnknownStaff,
        _ => error.into(),
    }
}
