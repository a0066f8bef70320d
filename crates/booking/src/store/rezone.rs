//! The wall times that were promised.

use chrono::{DateTime, NaiveDateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Booking, Promise, TimeZone};

struct Row {
    booking_id: Uuid,
    merchant_id: Uuid,
    staff_id: Uuid,
    starts_at: DateTime<Utc>,
    wall_start: NaiveDateTime,
    wall_zone: String,
}

/// Returns the bookings and holds from `now` on, by start, after this place.
pub(crate) async fn promises(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    after: Option<(DateTime<Utc>, Uuid)>,
    limit: i64,
) -> sqlx::Result<Vec<Promise>> {
    let (start, id) = after.unzip();
    let select = sqlx::query_as!(
        Row,
        r#"SELECT booking_id, merchant_id, staff_id, lower(during) AS "starts_at!",
                  wall_start AS "wall_start!", wall_zone AS "wall_zone!"
           FROM booking
           WHERE status IN ('held', 'confirmed') AND lower(during) > $1 AND wall_of = lower(during)
             AND ($2::timestamptz IS NULL OR (lower(during), booking_id) > ($2, $3))
           ORDER BY lower(during), booking_id LIMIT $4"#,
        now,
        start,
        id,
        limit,
    );
    let rows = query("promises", select.fetch_all(conn)).await?;
    let promise = |row: Row| {
        let zone = row.wall_zone.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)))?;
        let Row { booking_id, merchant_id, staff_id, starts_at, wall_start, .. } = row;
        Ok(Promise { booking_id, merchant_id, staff_id, starts_at, wall_start, zone })
    };
    rows.into_iter().map(promise).collect()
}

pub(crate) async fn member_of_booking(
    conn: &mut PgConnection,
    booking: Uuid,
) -> sqlx::Result<Option<Uuid>> {
    let select =
        sqlx::query_scalar!("SELECT member_id FROM booking WHERE booking_id = $1", booking);
    query("member_of_booking", select.fetch_optional(conn)).await
}

/// Moves a booking to the instant it now has; its wall time stays. With it what is about to be told of the instant
/// it had.
pub(crate) async fn mend_time(
    conn: &mut PgConnection,
    booking: &Booking,
    had: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
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

/// Bookings whose wall time is not recorded, locked, with their starts and their merchants' zones.
pub(crate) async fn unrecorded(
    conn: &mut PgConnection,
    limit: i64,
) -> sqlx::Result<Vec<(Uuid, DateTime<Utc>, TimeZone)>> {
    let select = sqlx::query!(
        r#"SELECT booking_id, lower(during) AS "starts_at!", time_zone
           FROM booking JOIN merchant USING (merchant_id)
           WHERE wall_of IS DISTINCT FROM lower(during) AND status IN ('held', 'confirmed')
           ORDER BY booking_id LIMIT $1 FOR UPDATE OF booking SKIP LOCKED"#,
        limit,
    );
    let rows = query("unrecorded_wall_times", select.fetch_all(conn)).await?;
    let known = |name: &str| name.parse().map_err(|e| sqlx::Error::Decode(Box::new(e)));
    rows.into_iter()
        .map(|row| Ok((row.booking_id, row.starts_at, known(&row.time_zone)?)))
        .collect()
}

pub(crate) async fn record_wall_time(
    conn: &mut PgConnection,
    booking: Uuid,
    starts_at: DateTime<Utc>,
    zone: TimeZone,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE booking SET wall_start = $2, wall_zone = $3, wall_of = $4 WHERE booking_id = $1",
        booking,
        zone.local(starts_at).naive_local(),
        zone.name(),
        starts_at,
    );
    query("record_wall_time", update.execute(conn)).await?;
    Ok(())
}
