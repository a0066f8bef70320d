use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::hold::free;
use super::slots::qualified;
use super::{Bookings, Error};
use crate::domain::{Booking, Interval, InvalidInterval, Occasion, Status};
use crate::metrics::{self, Attempt};
use crate::store;

/// Takes a slot of one of a merchant's staff.
#[derive(Clone, Debug)]
pub struct Book {
    pub member_id: Uuid,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    /// What is given; only the time is booked when absent.
    pub service_id: Option<Uuid>,
    pub interval: Interval,
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
        self.guard.stands()?;
        let now = self.clock.now();
        wanted.interval.bookable_at(now)?;
        let booking = served(&mut tx, wanted.confirmed(self.clock.id(), now)).await?;
        let over = insert(&mut tx, &booking).await?;
        self.tell_member(&mut tx, &booking, Occasion::Booked).await?;

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
            service_id: self.service_id,
            starts_at: self.interval.starts_at(),
            ends_at: self.interval.ends_at(),
            buffer_minutes: 0,
            status: Status::Confirmed,
            expires_at: None,
            price_minor: 0,
            points_paid: 0,
            created_at: now,
        }
    }
}

/// Takes the slot. Only a slot that is taken is looked at again: what takes it may be holds whose time is
/// over. How many that were.
async fn insert(conn: &mut PgConnection, booking: &Booking) -> Result<u64, Error> {
    if store::insert_booking(conn, booking).await.map_err(unknown_staff)? {
        return Ok(0);
    }
    let (merchant, staff) = (booking.merchant_id, booking.staff_id);
    let over = store::expire_holds(conn, merchant, staff, booking.occupied()).await?;
    if over > 0 && store::insert_booking(conn, booking).await.map_err(unknown_staff)? {
        return Ok(over);
    }
    Err(Error::SlotTaken)
}

/// With the price and the buffer of its service, if it has one. The price is the service's: no member
/// names it.
async fn served(conn: &mut PgConnection, booking: Booking) -> Result<Booking, Error> {
    let (merchant, Some(service_id)) = (booking.merchant_id, booking.service_id) else {
        return Ok(booking);
    };
    let service =
        store::find_bookable(conn, merchant, service_id).await?.ok_or(Error::UnknownService)?;
    if booking.ends_at - booking.starts_at != service.length.duration() {
        return Err(InvalidInterval.into());
    }
    let staff = qualified(conn, merchant, service_id, Some(booking.staff_id)).await?;
    let buffer_minutes = service.length.buffer_minutes();
    let booking = Booking { buffer_minutes, price_minor: service.price_minor, ..booking };
    if free(conn, &booking, &staff, service.zone).await?.is_empty() {
        return Err(Error::SlotTaken);
    }
    Ok(booking)
}

fn unknown_staff(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("booking_staff_exists") => Error::UnknownStaff,
        _ => error.into(),
    }
}
