//! Steps of the use cases that take a slot: hold, book and reschedule.

use chrono::TimeDelta;
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Error;
use crate::domain::{Booking, Interval, Moment, Span, TimeZone, WallClock};
use crate::store;

/// A booking that was inserted, and the number of expired holds that were ended for it.
pub(super) struct Taken {
    pub(super) booking: Booking,
    pub(super) expired: u64,
}

/// Returns the appointment of this length that starts at this moment on the merchant's clock.
pub(super) fn appointment(
    zone: TimeZone,
    starts_at: Moment,
    length: TimeDelta,
) -> Result<Interval, Error> {
    let field = "starts_at";
    let start = zone.instant(starts_at).map_err(|source| Error::LocalTime { field, source })?;
    // Outside the years that chrono knows, a plain addition would panic.
    let end = start.checked_add_signed(length).ok_or(Error::InvalidPeriod)?;
    Ok(Interval::try_new(start, end)?)
}

/// Returns those of `staff` who work at the time of `wanted` and are not booked. Another request may still take
/// their slot first.
pub(super) async fn free_staff(
    conn: &mut PgConnection,
    wanted: &Booking,
    staff: &[Uuid],
    zone: TimeZone,
) -> Result<Vec<Uuid>, Error> {
    let appointment = Span { from: wanted.starts_at, to: wanted.ends_at };
    let reach = wanted.occupied().with_neighbors();
    let clock = WallClock::over(zone, reach);
    if !clock.is_on_grid(appointment.from) {
        return Err(Error::OffGrid);
    }
    let calendars = store::calendars(conn, wanted.merchant_id, staff, reach).await?;
    let working: Vec<_> = staff
        .iter()
        .zip(&calendars)
        .filter(|(_, calendar)| clock.is_open(calendar, appointment))
        .collect();
    if working.is_empty() {
        return Err(Error::OutsideHours);
    }
    let free = working.into_iter().filter(|(_, calendar)| !calendar.is_taken(wanted.occupied()));
    Ok(free.map(|(staff, _)| *staff).collect())
}

/// Inserts the booking for the first of `staff` whose slot is free. Everybody tries them in the order of their ids:
/// in another order, two transactions could wait for each other.
pub(super) async fn take_slot(
    conn: &mut PgConnection,
    wanted: Booking,
    staff: Vec<Uuid>,
    zone: TimeZone,
) -> Result<Taken, Error> {
    let mut expired = 0;
    for staff_id in staff {
        let booking = Booking { staff_id, ..wanted.clone() };
        let mut inserted = insert(conn, &booking, zone).await?;
        if inserted.is_none() {
            // The slot may be occupied by expired holds.
            let occupied = booking.occupied();
            let ended = store::expire_holds(conn, booking.merchant_id, staff_id, occupied).await?;
            expired += ended;
            if ended > 0 {
                inserted = insert(conn, &booking, zone).await?;
            }
        }
        if let Some(booking) = inserted {
            return Ok(Taken { booking, expired });
        }
    }
    Err(Error::SlotTaken)
}

async fn insert(
    conn: &mut PgConnection,
    booking: &Booking,
    zone: TimeZone,
) -> Result<Option<Booking>, Error> {
    store::insert_booking(conn, booking, zone).await.map_err(unknown_staff)
}

/// Translates the constraint that every booking's staff member exists.
pub(super) fn unknown_staff(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("booking_staff_exists") => Error::UnknownStaff,
        _ => error.into(),
    }
}
