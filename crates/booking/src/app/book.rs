//! Booking a slot at once, without a hold.

use chrono::{DateTime, Utc};
use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use sqlx::PgConnection;
use uuid::Uuid;

use super::slots::qualified_staff;
use super::take_slot::{Taken, free_staff, take_slot};
use super::{Bookings, Error};
use crate::domain::{Actor, Booking, Interval, InvalidInterval, Occasion, Status, Terms};
use crate::{metrics, store};

/// Takes a slot of one of a merchant's staff.
#[derive(Clone, Debug)]
pub struct Book {
    pub actor: Actor,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    /// Only the merchant's owner may omit it and book a time alone.
    pub service_id: Option<Uuid>,
    pub interval: Interval,
}

impl Bookings {
    /// Answers the [`Booking`], `confirmed`. Refuses with [`Error::SlotTaken`] when it overlaps another.
    ///
    /// Nearly every booking succeeds as a single statement ([`Self::book_in_one_statement`], a second reading).
    /// The transaction below decides the others.
    #[tracing::instrument(skip_all, fields(merchant.id = %wanted.merchant_id))]
    pub async fn book(&self, key: Key, wanted: Book) -> Result<Answer<Booking>, Error> {
        if let Some(answer) = self.book_in_one_statement(&key, &wanted).await? {
            return Ok(answer);
        }
        let mut work = match command::begin(&self.db, wanted.actor.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let (booking, terms) = self.plan(&mut work, &wanted).await?;
        let zone = match terms {
            Some(terms) => {
                self.check_booking_limit(&mut work, wanted.actor, &terms).await?;
                terms.zone
            }
            None => store::zone_of_owner(&mut work, wanted.actor.id(), wanted.merchant_id)
                .await?
                .ok_or(Error::ServiceRequired)?,
        };
        let Taken { booking, expired } =
            take_slot(&mut work, booking, vec![wanted.staff_id], zone).await?;
        self.notify(&mut work, &booking, Occasion::Booked).await?;

        let booking_id = booking.booking_id;
        let answer = work.commit(Success::Created, booking).await?;
        metrics::expired(expired);
        tracing::info!(booking.id = %booking_id, merchant.id = %wanted.merchant_id, "slot booked");
        Ok(answer)
    }

    /// Returns the booking to insert. The merchant's terms are absent when the booking has no service: then the
    /// caller must still check that the merchant is the member's own.
    pub(super) async fn plan(
        &self,
        conn: &mut PgConnection,
        wanted: &Book,
    ) -> Result<(Booking, Option<Terms>), Error> {
        self.guard.check()?;
        let now = self.clock.now();
        wanted.interval.bookable_at(now)?;
        let booking = wanted.confirmed(self.clock.id(), now);
        let Some(service_id) = wanted.service_id else {
            // A walk-in, or a time that must stay free. A stranger could fill the calendar with it.
            wanted.actor.owner().ok_or(Error::ServiceRequired)?;
            return Ok((booking, None));
        };
        let service = store::find_bookable(conn, wanted.merchant_id, service_id)
            .await?
            .ok_or(Error::UnknownService)?;
        service.terms.check_open()?;
        if booking.ends_at - booking.starts_at != service.length.duration() {
            return Err(InvalidInterval.into());
        }
        let staff =
            qualified_staff(conn, wanted.merchant_id, service_id, Some(wanted.staff_id)).await?;
        let buffer_minutes = service.length.buffer_minutes();
        let booking = Booking { buffer_minutes, price_minor: service.price_minor, ..booking };
        if free_staff(conn, &booking, &staff, service.terms.zone).await?.is_empty() {
            return Err(Error::SlotTaken);
        }
        Ok((booking, Some(service.terms)))
    }
}

impl Book {
    /// Returns the booking as it is without a service: free of charge, without a buffer.
    fn confirmed(&self, booking_id: Uuid, now: DateTime<Utc>) -> Booking {
        Booking {
            booking_id,
            merchant_id: self.merchant_id,
            staff_id: self.staff_id,
            member_id: self.actor.id(),
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
