use axum::http::StatusCode;
use chrono::TimeDelta;
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use sqlx::PgConnection;
use uuid::Uuid;

use super::slots::qualified;
use super::{Bookable, Bookings, By, Error};
use crate::domain::{Booking, Interval, Moment, Span, Status, TimeZone, WallClock};
use crate::metrics::{self, Attempt};
use crate::store;

/// Takes a slot for 10 minutes, in which the member decides.
#[derive(Clone, Debug)]
pub struct Hold {
    pub by: By,
    pub merchant_id: Uuid,
    pub service_id: Uuid,
    /// Whoever is free when absent.
    pub staff_id: Option<Uuid>,
    pub starts_at: Moment,
}

impl Bookings {
    /// 201 with the [`Booking`], `held` until it expires; [`Error::SlotTaken`] when nobody is free.
    #[tracing::instrument(skip_all, fields(merchant.id = %wanted.merchant_id))]
    pub async fn hold(&self, key: Key, wanted: Hold) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move {
            let attempt = Attempt::start();
            let outcome = this.reserve(&key, &wanted).await;
            attempt.settle(&outcome);
            outcome
        })
        .await
    }

    async fn reserve(&self, key: &Key, wanted: &Hold) -> Result<Answer, Error> {
        let principal = wanted.by.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        self.guard.stands()?;
        let Hold { merchant_id, service_id, staff_id, .. } = *wanted;
        let service = store::find_bookable(&mut tx, merchant_id, service_id)
            .await?
            .ok_or(Error::UnknownService)?;
        service.open()?;
        let interval = start(service.zone, wanted.starts_at, service.length.duration())?;
        interval.bookable_at(self.clock.now())?;
        let staff = qualified(&mut tx, merchant_id, service_id, staff_id).await?;
        self.has_room(&mut tx, wanted.by.id(), self.most(wanted.by, &service)).await?;
        if store::held_by(&mut tx, wanted.by.id()).await? >= i64::from(self.holds_per_member) {
            return Err(Error::TooManyHolds);
        }
        let wish = self.held(wanted, &service, interval);
        let candidates = free(&mut tx, &wish, &staff, service.zone).await?;
        let mut over = 0;
        let booking = take_one(&mut tx, wish, service.zone, candidates, &mut over)
            .await?
            .ok_or(Error::SlotTaken)?;

        let answer = Answer::json(StatusCode::CREATED, &booking);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        metrics::expired(over);
        tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "held");
        Ok(answer)
    }

    /// The hold as it will be, with nobody yet to give it.
    fn held(&self, wanted: &Hold, service: &Bookable, interval: Interval) -> Booking {
        Booking {
            booking_id: self.clock.id(),
            merchant_id: wanted.merchant_id,
            staff_id: Uuid::nil(),
            member_id: wanted.by.id(),
            service_id: Some(wanted.service_id),
            starts_at: interval.starts_at(),
            ends_at: interval.ends_at(),
            buffer_minutes: service.length.buffer_minutes(),
            status: Status::Held,
            expires_at: None,
            price_minor: service.price_minor,
            points_paid: 0,
            points_value_minor: 0,
            created_at: self.clock.now(),
        }
    }
}

/// The appointment that starts then.
pub(super) fn start(zone: TimeZone, at: Moment, length: TimeDelta) -> Result<Interval, Error> {
    let field = "starts_at";
    let start = zone.instant(at).map_err(|source| Error::LocalTime { field, source })?;
    // Far outside the years that chrono knows it would panic.
    let end = start.checked_add_signed(length).ok_or(Error::InvalidPeriod)?;
    Ok(Interval::try_new(start, end)?)
}

/// Who of these works then and is not booked, as far as can be seen now.
pub(super) async fn free(
    conn: &mut PgConnection,
    wish: &Booking,
    staff: &[Uuid],
    zone: TimeZone,
) -> Result<Vec<Uuid>, Error> {
    let appointment = Span { from: wish.starts_at, to: wish.ends_at };
    let reach = wish.occupied().with_neighbors();
    let clock = WallClock::over(zone, reach);
    if !clock.is_on_grid(appointment.from) {
        return Err(Error::OffGrid);
    }
    let calendars = store::calendars(conn, wish.merchant_id, staff, reach).await?;
    let working: Vec<_> = staff
        .iter()
        .zip(&calendars)
        .filter(|(_, calendar)| clock.is_open(calendar, appointment))
        .collect();
    if working.is_empty() {
        return Err(Error::OutsideHours);
    }
    let free = working.into_iter().filter(|(_, calendar)| !calendar.is_taken(wish.occupied()));
    Ok(free.map(|(staff, _)| *staff).collect())
}

/// The first of these, who are in the order of their ids, that nobody else takes first. Everybody asks
/// in that order: somebody who came from the other side could wait for one who waits for them.
async fn take_one(
    conn: &mut PgConnection,
    wish: Booking,
    zone: TimeZone,
    staff: Vec<Uuid>,
    over: &mut u64,
) -> Result<Option<Booking>, Error> {
    for staff_id in staff {
        let hold = Booking { staff_id, ..wish.clone() };
        let mut taken = store::insert_hold(conn, &hold, zone).await?;
        if taken.is_none() {
            // What is in the way may be holds whose time is over.
            let ended =
                store::expire_holds(conn, hold.merchant_id, staff_id, hold.occupied()).await?;
            *over += ended;
            if ended > 0 {
                taken = store::insert_hold(conn, &hold, zone).await?;
            }
        }
        if let Some(expires_at) = taken {
            return Ok(Some(Booking { expires_at: Some(expires_at), ..hold }));
        }
    }
    Ok(None)
}
