//! Reading a booking, and changing one.

use chrono::{DateTime, TimeDelta, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::By;
use crate::domain::{Booking, MerchantClosed, Notice, Status, TimeZone};

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
    /// Its time is over, whether or not the job has been there.
    is_over: Option<bool>,
    price_minor: i64,
    points_paid: i64,
    points_value_minor: i64,
    created_at: DateTime<Utc>,
}

impl TryFrom<Row> for Booking {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        let status = row.status.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
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

/// `query_as!` takes literals only, so what is read is written once here.
macro_rules! booking_where {
    ($($condition_and_parameters:tt)+) => {
        sqlx::query_as!(
            Row,
            r#"SELECT booking_id, merchant_id, staff_id, member_id, service_id,
                      lower(during) AS "starts_at!", upper(during) AS "ends_at!", buffer_minutes,
                      status, expires_at, expires_at <= now() AS is_over, price_minor, points_paid,
                      COALESCE(points_value_minor, points_paid) AS "points_value_minor!",
                      booking.created_at
               FROM booking JOIN merchant USING (merchant_id)
               WHERE "# + $($condition_and_parameters)+
        )
    };
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

/// A booking that this person made, or that is at a merchant which they own.
pub(crate) async fn find_booking(
    conn: &mut PgConnection,
    booking: Uuid,
    by: By,
) -> sqlx::Result<Option<Booking>> {
    let select = booking_where!(
        "booking_id = $1 AND (member_id = $2 OR owner_id = $3)",
        booking,
        by.id(),
        by.owner(),
    );
    let row = query("find_booking", select.fetch_optional(conn)).await?;
    row.map(Booking::try_from).transpose()
}

/// Any booking, whoever asks.
pub(crate) async fn find_any_booking(
    conn: &mut PgConnection,
    booking: Uuid,
) -> sqlx::Result<Option<Booking>> {
    let select = booking_where!("booking_id = $1", booking);
    let row = query("find_any_booking", select.fetch_optional(conn)).await?;
    row.map(Booking::try_from).transpose()
}

/// [`find_booking`], and holds the row until the transaction ends.
pub(crate) async fn lock_booking(
    conn: &mut PgConnection,
    booking: Uuid,
    by: By,
) -> sqlx::Result<Option<Booking>> {
    let select = booking_where!(
        "booking_id = $1 AND (member_id = $2 OR owner_id = $3) FOR UPDATE OF booking",
        booking,
        by.id(),
        by.owner(),
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
    let select =
        booking_where!("booking_id = $1 AND owner_id = $2 FOR UPDATE OF booking", booking, owner);
    let row = query("lock_booking_of_owner", select.fetch_optional(conn)).await?;
    row.map(Booking::try_from).transpose()
}

pub(crate) async fn update_status(
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

/// Moves a booking to the person and the time it now has. An error of `no_overlap_bookings` when
/// another holds them.
pub(crate) async fn update_time(
    conn: &mut PgConnection,
    booking: &Booking,
    zone: TimeZone,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
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

/// Whose calendar a booking is in; for whoever may change it.
pub(crate) async fn staff_of_booking(
    conn: &mut PgConnection,
    booking: Uuid,
    by: By,
) -> sqlx::Result<Option<(Uuid, Uuid)>> {
    let select = sqlx::query!(
        "SELECT merchant_id, staff_id FROM booking JOIN merchant USING (merchant_id)
         WHERE booking_id = $1 AND (member_id = $2 OR owner_id = $3)",
        booking,
        by.id(),
        by.owner(),
    );
    let row = query("staff_of_booking", select.fetch_optional(conn)).await?;
    Ok(row.map(|row| (row.merchant_id, row.staff_id)))
}

/// What a merchant agrees to.
pub(crate) struct Terms {
    /// `None`: it is closed.
    pub(crate) owner_id: Option<Uuid>,
    pub(crate) zone: TimeZone,
    pub(crate) currency: String,
    pub(crate) notice: Notice,
}

impl Terms {
    /// Refuses what a closed merchant does not take any more.
    pub(crate) fn open(&self) -> Result<(), MerchantClosed> {
        if self.owner_id.is_some() { Ok(()) } else { Err(MerchantClosed) }
    }
}

pub(crate) async fn terms(conn: &mut PgConnection, merchant: Uuid) -> sqlx::Result<Terms> {
    let select = sqlx::query!(
        "SELECT owner_id, time_zone, currency, cancellation_notice_minutes FROM merchant
         WHERE merchant_id = $1",
        merchant,
    );
    let row = query("terms_of_merchant", select.fetch_one(conn)).await?;
    Ok(Terms {
        owner_id: row.owner_id,
        zone: row.time_zone.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
        currency: row.currency,
        notice: Notice::try_new(row.cancellation_notice_minutes)
            .map_err(|e| sqlx::Error::Decode(Box::new(e)))?,
    })
}
