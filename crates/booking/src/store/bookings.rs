//! Reads of one booking, and its row lock.

use chrono::{DateTime, TimeDelta, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use super::decode;
use crate::domain::{Actor, Booking, Notice, Owner, Status, Terms};

/// The bookings that a caller may see and change. It is a condition of the query: another's booking looks
/// like a missing one.
#[derive(Clone, Copy)]
pub(crate) struct Access {
    all: bool,
    member: Option<Uuid>,
    owner: Option<Uuid>,
}

impl Access {
    /// Every booking: for jobs, and for services that the allowlist trusts.
    pub(crate) const ALL: Self = Self { all: true, member: None, owner: None };
}

/// The member's own bookings, and those at their merchants.
impl From<Actor> for Access {
    fn from(actor: Actor) -> Self {
        let owner = actor.owner().map(Owner::id);
        Self { all: false, member: Some(actor.id()), owner }
    }
}

/// The bookings at the owner's merchants.
impl From<Owner> for Access {
    fn from(owner: Owner) -> Self {
        Self { all: false, member: None, owner: Some(owner.id()) }
    }
}

/// A booking as the database returns it.
#[derive(sqlx::FromRow)]
pub(super) struct Row {
    booking_id: Uuid,
    merchant_id: Uuid,
    staff_id: Uuid,
    member_id: Uuid,
    service_id: Option<Uuid>,
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
    buffer_minutes: i32,
    status: String,
    expires_at: Option<DateTime<Utc>>,
    /// The hold has expired, even if the job has not marked it yet.
    is_over: Option<bool>,
    price_minor: i64,
    points_paid: i64,
    points_value_minor: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Booking {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let status = row.status.parse().map_err(decode)?;
        let is_held = status == Status::Held;
        let is_over = row.is_over == Some(true);
        Ok(Self {
            booking_id: row.booking_id,
            merchant_id: row.merchant_id,
            staff_id: row.staff_id,
            member_id: row.member_id,
            service_id: row.service_id,
            starts_at: row.starts_at,
            ends_at: row.ends_at - TimeDelta::minutes(row.buffer_minutes.into()),
            buffer_minutes: row.buffer_minutes,
            status: if is_held && is_over { Status::Expired } else { status },
            expires_at: row.expires_at.filter(|_| is_held && !is_over),
            price_minor: row.price_minor,
            points_paid: row.points_paid,
            points_value_minor: row.points_value_minor,
            created_at: row.created_at,
        })
    }
}

/// Reads a booking. `None` when it does not exist, or the caller may not see it.
pub(crate) async fn find_booking(
    conn: &mut PgConnection,
    booking: Uuid,
    access: impl Into<Access>,
) -> sqlx::Result<Option<Booking>> {
    let access = access.into();
    let select = sqlx::query_as!(
        Row,
        r#"SELECT booking_id, merchant_id, staff_id, member_id, service_id,
                  lower(during) AS "starts_at!", upper(during) AS "ends_at!", buffer_minutes,
                  status, expires_at, expires_at <= now() AS is_over, price_minor, points_paid,
                  COALESCE(points_value_minor, points_paid) AS "points_value_minor!",
                  booking.created_at
           FROM booking JOIN merchant USING (merchant_id)
           WHERE booking_id = $1 AND ($2 OR member_id = $3 OR owner_id = $4)"#,
        booking,
        access.all,
        access.member,
        access.owner,
    );
    let row = query("find_booking", select.fetch_optional(conn)).await?;
    row.map(Booking::try_from).transpose()
}

/// Locks a booking until the transaction ends, and reads it. The read is a statement of its own, so that it
/// sees what the holder of the lock before has committed.
pub(crate) async fn lock_booking(
    conn: &mut PgConnection,
    booking: Uuid,
    access: impl Into<Access>,
) -> sqlx::Result<Option<Booking>> {
    let access = access.into();
    let lock = sqlx::query_scalar!(
        r#"SELECT true AS "locked!" FROM booking JOIN merchant USING (merchant_id)
           WHERE booking_id = $1 AND ($2 OR member_id = $3 OR owner_id = $4) FOR UPDATE OF booking"#,
        booking,
        access.all,
        access.member,
        access.owner,
    );
    match query("lock_booking", lock.fetch_optional(&mut *conn)).await? {
        Some(_) => find_booking(conn, booking, access).await,
        None => Ok(None),
    }
}

/// Reads the terms of a merchant.
pub(crate) async fn terms(conn: &mut PgConnection, merchant: Uuid) -> sqlx::Result<Terms> {
    let select = sqlx::query!(
        "SELECT owner_id, time_zone, currency, cancellation_notice_minutes FROM merchant
         WHERE merchant_id = $1",
        merchant,
    );
    let row = query("terms_of_merchant", select.fetch_one(conn)).await?;
    Ok(Terms {
        owner_id: row.owner_id,
        zone: row.time_zone.parse().map_err(decode)?,
        currency: row.currency,
        notice: Notice::try_new(row.cancellation_notice_minutes).map_err(decode)?,
    })
}
