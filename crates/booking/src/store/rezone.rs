//! The promised wall times of bookings.

use chrono::{DateTime, NaiveDateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use super::decode;
use crate::domain::{Promise, TimeZone};
use crate::view::Place;

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
    after: Option<Place>,
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
        let zone = row.wall_zone.parse().map_err(decode)?;
        let Row { booking_id, merchant_id, staff_id, starts_at, wall_start, .. } = row;
        Ok(Promise { booking_id, merchant_id, staff_id, starts_at, wall_start, zone })
    };
    rows.into_iter().map(promise).collect()
}

/// Locks bookings without a recorded wall time, and returns them with their starts and their merchants' zones.
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
    rows.into_iter()
        .map(|row| Ok((row.booking_id, row.starts_at, row.time_zone.parse().map_err(decode)?)))
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
