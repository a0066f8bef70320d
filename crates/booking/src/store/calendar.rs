//! The locks of calendars, and the writes that need them.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use super::bookings::{Access, find_booking, lock_booking};
use crate::domain::{Booking, Status, TimeZone, Week};

/// The locked calendars of one or two staff members, until the transaction ends.
///
/// Every write of a booking that stays in a calendar, and of working hours, takes one. Without it an UPDATE
/// under an exclusion constraint would deadlock with its rivals: unlike `INSERT … ON CONFLICT`, it writes first
/// and waits for rivals afterwards.
pub(crate) struct CalendarLock {
    merchant: Uuid,
    staff: Vec<Uuid>,
}

impl CalendarLock {
    /// Panics in tests when a booking is written in a calendar that is not locked.
    fn check(&self, booking: &Booking) {
        debug_assert!(
            self.merchant == booking.merchant_id && self.staff.contains(&booking.staff_id),
            "calendar is not locked",
        );
    }
}

/// Locks these calendars. Sorted, so that two transactions that want the same two never wait for each other.
pub(crate) async fn lock_calendars(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: &[Uuid],
) -> sqlx::Result<CalendarLock> {
    let mut staff = staff.to_vec();
    staff.sort_unstable();
    staff.dedup();
    let lock = sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('staff ' || $1::uuid || person, 0))
         FROM unnest($2::uuid[]) AS person",
        merchant,
        &staff,
    );
    query("lock_calendars", lock.execute(conn)).await?;
    Ok(CalendarLock { merchant, staff })
}

/// Locks the calendar of a booking, the calendar of `other`, and then the booking: always in this order.
pub(crate) async fn lock_booking_in_calendar(
    conn: &mut PgConnection,
    booking: Uuid,
    access: impl Into<Access>,
    other: Option<Uuid>,
) -> sqlx::Result<Option<(Booking, CalendarLock)>> {
    let access = access.into();
    loop {
        let Some(seen) = find_booking(conn, booking, access).await? else { return Ok(None) };
        let staff: Vec<_> = [seen.staff_id].into_iter().chain(other).collect();
        let lock = lock_calendars(conn, seen.merchant_id, &staff).await?;
        match lock_booking(conn, booking, access).await? {
            None => return Ok(None),
            Some(found) if found.staff_id == seen.staff_id => return Ok(Some((found, lock))),
            Some(_) => {} // another transaction moved it to another calendar in between
        }
    }
}

/// Writes the status and the payment of a booking that stays in its calendar.
pub(crate) async fn update_booking(
    conn: &mut PgConnection,
    lock: &CalendarLock,
    booking: &Booking,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    lock.check(booking);
    write_status(conn, booking, now).await
}

/// Writes the status of a booking that leaves its calendar. This needs no [`CalendarLock`].
pub(crate) async fn free_slot(
    conn: &mut PgConnection,
    booking: &Booking,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let leaves = matches!(booking.status, Status::Cancelled | Status::NoShow);
    debug_assert!(leaves, "booking stays in its calendar");
    write_status(conn, booking, now).await
}

async fn write_status(
    conn: &mut PgConnection,
    booking: &Booking,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE booking SET status = $3, points_paid = $5, points_value_minor = $6, expires_at = NULL,
                            version = version + 1, updated_at = $4
         WHERE booking_id = $1 AND merchant_id = $2",
        booking.booking_id,
        booking.merchant_id,
        booking.status.as_str(),
        now,
        booking.points_paid,
        booking.points_value_minor,
    );
    query("update_booking_status", update.execute(conn)).await?;
    Ok(())
}

/// Writes the staff member and the time of a booking. Fails with `no_overlap_bookings` when another booking
/// occupies the slot.
pub(crate) async fn update_time(
    conn: &mut PgConnection,
    lock: &CalendarLock,
    booking: &Booking,
    zone: TimeZone,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    lock.check(booking);
    let occupied = booking.occupied();
    let update = sqlx::query!(
        "UPDATE booking SET staff_id = $3, during = tstzrange($4, $5, '[)'), version = version + 1,
                            updated_at = $6, wall_start = $7, wall_zone = $8, wall_of = $4
         WHERE booking_id = $1 AND merchant_id = $2",
        booking.booking_id,
        booking.merchant_id,
        booking.staff_id,
        occupied.from,
        occupied.to,
        now,
        zone.local(booking.starts_at).naive_local(),
        zone.name(),
    );
    query("update_booking_time", update.execute(conn)).await?;
    Ok(())
}

/// Moves a booking to another instant; its wall time stays. Pending messages follow from the instant `had`.
pub(crate) async fn mend_time(
    conn: &mut PgConnection,
    lock: &CalendarLock,
    booking: &Booking,
    had: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    lock.check(booking);
    let occupied = booking.occupied();
    let update = sqlx::query!(
        "WITH mended AS (
             UPDATE booking SET during = tstzrange($3, $4, '[)'), wall_of = $3, version = version + 1,
                                updated_at = $5
             WHERE booking_id = $1 AND merchant_id = $2
         )
         UPDATE notification_logs SET starts_at = $3
         WHERE booking_id = $1 AND merchant_id = $2 AND status = 'pending' AND starts_at = $6",
        booking.booking_id,
        booking.merchant_id,
        occupied.from,
        occupied.to,
        now,
        had,
    );
    query("mend_booking_time", update.execute(conn)).await?;
    Ok(())
}

/// Replaces the working hours of a staff member.
pub(crate) async fn replace_hours(
    conn: &mut PgConnection,
    lock: &CalendarLock,
    staff: Uuid,
    week: &Week,
) -> sqlx::Result<()> {
    debug_assert!(lock.staff.contains(&staff), "calendar is not locked");
    let delete = sqlx::query!(
        "DELETE FROM working_hours WHERE merchant_id = $1 AND staff_id = $2",
        lock.merchant,
        staff,
    );
    query("delete_hours", delete.execute(&mut *conn)).await?;

    let shifts = week.shifts();
    let weekdays: Vec<i16> = shifts.iter().map(|shift| shift.weekday.into()).collect();
    let opens: Vec<i32> = shifts.iter().map(|shift| shift.opens.minute()).collect();
    let closes: Vec<i32> = shifts.iter().map(|shift| shift.closes.minute()).collect();
    let insert = sqlx::query!(
        "INSERT INTO working_hours (merchant_id, staff_id, weekday, opens_minute, closes_minute)
         SELECT $1, $2, * FROM unnest($3::smallint[], $4::integer[], $5::integer[])",
        lock.merchant,
        staff,
        &weekdays,
        &opens,
        &closes,
    );
    query("insert_hours", insert.execute(conn)).await?;
    Ok(())
}
