use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::hold::free;
use super::slots::qualified;
use super::{Bookable, Bookings, By, Error};
use crate::domain::{Booking, Interval, InvalidInterval, Status, TimeZone};
use crate::metrics::{self, Attempt};
use crate::store;

/// Takes a slot of one of a merchant's staff.
#[derive(Clone, Debug)]
pub struct Book {
    pub by: By,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    /// What is given; only the time is booked when absent, which only the merchant's owner may.
    pub service_id: Option<Uuid>,
    pub interval: Interval,
}

/// A booking as it would be written.
pub(crate) struct Wish {
    pub(crate) booking: Booking,
    /// Of the merchant, as far as somebody has looked; else a job records the wall time.
    pub(crate) zone: Option<TimeZone>,
    /// With so many bookings ahead of them its member may not. `None` at the merchant's own.
    pub(crate) most: Option<i64>,
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

    /// Nearly every booking is one statement, which is a transaction of its own. When that wrote nothing, a
    /// transaction that has the key to itself finds out why.
    async fn take_slot(&self, key: &Key, wanted: &Book) -> Result<Answer, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let answer = match self.at_once(&mut conn, key, wanted).await {
            Ok(Some(answer)) => answer,
            Err(error @ Error::Database(_)) => return Err(error),
            // A replay, a twin, a hold whose time is over, or a refusal. Only the key's first answer may
            // say which: a replay must answer alike after the slot has passed.
            Ok(None) | Err(_) => self.step_by_step(&mut conn, key, wanted).await?,
        };
        Ok(answer)
    }

    async fn at_once(
        &self,
        conn: &mut PgConnection,
        key: &Key,
        wanted: &Book,
    ) -> Result<Option<Answer>, Error> {
        let wish = self.bookable(conn, wanted).await?;
        self.write(conn, key, &wish).await.map_err(|error| match error {
            Error::Database(error) => postgres::during_commit(error).into(),
            other => other,
        })
    }

    async fn step_by_step(
        &self,
        conn: &mut PgConnection,
        key: &Key,
        wanted: &Book,
    ) -> Result<Answer, Error> {
        let mut tx = postgres::begin_with(conn, "BEGIN").await?;
        let principal = wanted.by.id().to_string();
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let wish = self.bookable(&mut tx, wanted).await?;
        self.admitted(&mut tx, wanted, &wish).await?;
        let mut answer = self.write(&mut tx, key, &wish).await?;
        let mut over = 0;
        if answer.is_none() {
            // What takes the slot may be holds whose time is over.
            let Booking { merchant_id, staff_id, .. } = wish.booking;
            let occupied = wish.booking.occupied();
            over = store::expire_holds(&mut tx, merchant_id, staff_id, occupied).await?;
            if over > 0 {
                answer = self.write(&mut tx, key, &wish).await?;
            }
        }
        let answer = answer.ok_or(Error::SlotTaken)?;
        postgres::commit(tx).await?;
        metrics::expired(over);
        Ok(answer)
    }

    /// Returns the booking as it would be written, if it may be made.
    async fn bookable(&self, conn: &mut PgConnection, wanted: &Book) -> Result<Wish, Error> {
        self.guard.stands()?;
        let now = self.clock.now();
        wanted.interval.bookable_at(now)?;
        let booking = wanted.confirmed(self.clock.id(), now);
        let Some(service_id) = wanted.service_id else {
            // A walk-in, or time that is to stay free. From anybody but the owner it would be a calendar
            // filled for nothing.
            wanted.by.owner().ok_or(Error::ServiceRequired)?;
            return Ok(Wish { booking, zone: None, most: None }); // the insert looks whose merchant it is
        };
        let service = store::find_bookable(conn, wanted.merchant_id, service_id)
            .await?
            .ok_or(Error::UnknownService)?;
        service.open()?;
        let (zone, most) = (service.zone, self.most(wanted.by, &service));
        let booking = served(conn, booking, service_id, &service).await?;
        Ok(Wish { booking, zone: Some(zone), most })
    }

    /// Whether this member may, which the insert looks at as well, and cannot say.
    async fn admitted(
        &self,
        conn: &mut PgConnection,
        wanted: &Book,
        wish: &Wish,
    ) -> Result<(), Error> {
        if wish.booking.service_id.is_none() {
            let zone = store::zone_of_owner(conn, wanted.by.id(), wanted.merchant_id).await?;
            return zone.map(drop).ok_or(Error::ServiceRequired);
        }
        match wish.most {
            None => Ok(()), // their own merchant
            most => self.has_room(conn, wanted.by.id(), most).await,
        }
    }

    /// With how many bookings ahead of them a member may have no more. `None` at the merchant's own.
    pub(super) fn most(&self, by: By, service: &Bookable) -> Option<i64> {
        (!by.owns(service.owner_id)).then_some(self.bookings_per_member.into())
    }

    /// Keeps the member's turn until the transaction ends, so that no two of their requests take the last
    /// place.
    pub(super) async fn has_room(
        &self,
        conn: &mut PgConnection,
        member: Uuid,
        most: Option<i64>,
    ) -> Result<(), Error> {
        let ahead = store::open_bookings(conn, member, self.clock.now(), most.unwrap_or(0)).await?;
        if most.is_some_and(|most| ahead >= most) { Err(Error::TooManyBookings) } else { Ok(()) }
    }

    /// The booking, its answer and its message, or nothing of it: `None` when the slot is taken or a twin has
    /// the key, or the member has `most` ahead of them, or the merchant is not theirs any more.
    async fn write(
        &self,
        conn: &mut PgConnection,
        key: &Key,
        wish: &Wish,
    ) -> Result<Option<Answer>, Error> {
        let booking = &wish.booking;
        let answer = Answer::json(StatusCode::CREATED, booking);
        let notice = self.clock.id();
        let booked =
            store::insert_booking(conn, wish, notice, key, &answer).await.map_err(refused)?;
        if !booked {
            return Ok(None);
        }
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "booked");
        Ok(Some(answer))
    }
}

impl Book {
    fn confirmed(&self, booking_id: Uuid, now: DateTime<Utc>) -> Booking {
        Booking {
            booking_id,
            merchant_id: self.merchant_id,
            staff_id: self.staff_id,
            member_id: self.by.id(),
            service_id: self.service_id,
            starts_at: self.interval.starts_at(),
            ends_at: self.interval.ends_at(),
            buffer_minutes: 0,
            status: Status::Confirmed,
            expires_at: None,
            price_minor: 0,
            points_paid: 0,
            points_value_minor: 0,
            created_at: now,
        }
    }
}

/// With the price and the buffer of its service. The price is the service's: nobody names it.
async fn served(
    conn: &mut PgConnection,
    booking: Booking,
    service_id: Uuid,
    service: &Bookable,
) -> Result<Booking, Error> {
    if booking.ends_at - booking.starts_at != service.length.duration() {
        return Err(InvalidInterval.into());
    }
    let staff = qualified(conn, booking.merchant_id, service_id, Some(booking.staff_id)).await?;
    let buffer_minutes = service.length.buffer_minutes();
    let booking = Booking { buffer_minutes, price_minor: service.price_minor, ..booking };
    if free(conn, &booking, &staff, service.zone).await?.is_empty() {
        return Err(Error::SlotTaken);
    }
    Ok(booking)
}

fn refused(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("booking_staff_exists") => Error::UnknownStaff,
        // Answered since this statement began.
        Some("idempotency_key_pk") => idempotency::Error::InProgress.into(),
        _ => error.into(),
    }
}
