//! Inserting bookings and holds, ending holds, and the limits of a member.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Booking, Span, TimeZone};

/// Ends the expired holds that occupy this time of a staff member, so that an insert need not wait for the job: a
/// condition of the exclusion constraint cannot read the clock. Ordered by id, so that two transactions that end
/// the same holds never wait for each other.
pub(crate) async fn expire_holds(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: Uuid,
    wanted: Span,
) -> sqlx::Result<u64> {
    let update = sqlx::query!(
        "WITH over AS (
             SELECT booking_id FROM booking
             WHERE merchant_id = $1 AND staff_id = $2
               AND lower(during) > $3::timestamptz - interval '12 hours' AND lower(during) < $4
               AND upper(during) > $3
               AND status NOT IN ('cancelled', 'no_show', 'expired') -- as booking_calendar says it
               AND status = 'held' AND expires_at <= now()
             ORDER BY booking_id FOR UPDATE
         )
         UPDATE booking SET status = 'expired', version = version + 1, updated_at = now()
         FROM over WHERE booking.booking_id = over.booking_id AND merchant_id = $1",
        merchant,
        staff,
        wanted.from,
        wanted.to,
    );
    Ok(query("expire_holds", update.execute(conn)).await?.rows_affected())
}

/// Ends up to `limit` expired holds of all merchants. Skips locked ones.
pub(crate) async fn expire_overdue(conn: &mut PgConnection, limit: i64) -> sqlx::Result<u64> {
    let update = sqlx::query!(
        "WITH over AS (
             SELECT booking_id, merchant_id FROM booking
             WHERE status = 'held' AND expires_at <= now()
             ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
         )
         UPDATE booking SET status = 'expired', version = version + 1, updated_at = now()
         FROM over
         WHERE booking.booking_id = over.booking_id AND booking.merchant_id = over.merchant_id",
        limit,
    );
    Ok(query("expire_overdue", update.execute(conn)).await?.rows_affected())
}

/// Inserts a booking or a hold. `None` when another booking occupies the slot. A hold expires after ten minutes, by
/// the database's clock.
///
/// `ON CONFLICT DO NOTHING` waits for a rival instead of failing. A plain INSERT would deadlock with its rivals in
/// 8 to 18 % of contested cases.
pub(crate) async fn insert_booking(
    conn: &mut PgConnection,
    booking: &Booking,
    zone: TimeZone,
) -> sqlx::Result<Option<Booking>> {
    let occupied = booking.occupied();
    let insert = sqlx::query_scalar!(
        "INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, service_id, during,
                              buffer_minutes, status, expires_at, price_minor, created_at,
                              updated_at, wall_start, wall_zone, wall_of)
         VALUES ($1, $2, $3, $4, $5, tstzrange($6, $7, '[)'), $8, $9,
                 CASE WHEN $9 = 'held' THEN now() + interval '10 minutes' END,
                 $10, $11, $11, $12, $13, $6)
         ON CONFLICT DO NOTHING
         RETURNING expires_at",
        booking.booking_id,
        booking.merchant_id,
        booking.staff_id,
        booking.member_id,
        booking.service_id,
        occupied.from,
        occupied.to,
        booking.buffer_minutes,
        booking.status.as_str(),
        booking.price_minor,
        booking.created_at,
        zone.local(booking.starts_at).naive_local(),
        zone.name(),
    );
    let inserted = query("insert_booking", insert.fetch_optional(conn)).await?;
    Ok(inserted.map(|expires_at| Booking { expires_at, ..booking.clone() }))
}

/// Moves up to `most` bookings that were completed over a year ago, and returns their number.
pub(crate) async fn archive_bookings(conn: &mut PgConnection, most: i32) -> sqlx::Result<u64> {
    let archive = sqlx::query_scalar!(r#"SELECT archive_bookings($1) AS "moved!""#, most);
    let moved = query("archive_bookings", archive.fetch_one(conn)).await?;
    Ok(moved.unsigned_abs())
}

/// Counts the bookings and holds that a member has ahead at merchants of others, up to `most`. Locks the count
/// until the transaction ends, so that two requests of a member never count at the same time.
pub(crate) async fn open_bookings(
    conn: &mut PgConnection,
    member: Uuid,
    now: DateTime<Utc>,
    most: i64,
) -> sqlx::Result<i64> {
    let select =
        sqlx::query_scalar!(r#"SELECT open_bookings($1, $2, $3) AS "open!""#, member, now, most);
    query("open_bookings", select.fetch_one(conn)).await
}

/// Counts the slots that a member holds. To be called after [`open_bookings`], which locks the count.
pub(crate) async fn count_holds(conn: &mut PgConnection, member: Uuid) -> sqlx::Result<i64> {
    let select = sqlx::query_scalar!(
        r#"SELECT count(*) AS "held!" FROM booking
           WHERE member_id = $1 AND status = 'held' AND expires_at > now()"#,
        member,
    );
    query("count_holds", select.fetch_one(conn)).await
}

/// Returns `true` when the constraint against overlapping bookings exists, as migration 2 made it.
pub(crate) async fn overlap_constraint_exists(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let select = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM pg_constraint
               WHERE conrelid = 'booking'::regclass AND conname = 'no_overlap_bookings'
                 AND pg_get_constraintdef(oid) = $1) AS "exists!""#,
        OVERLAP_CONSTRAINT,
    );
    query("overlap_constraint_exists", select.fetch_one(conn)).await
}

const OVERLAP_CONSTRAINT: &str = "EXCLUDE USING gist (merchant_id WITH =, staff_id WITH =, \
     during WITH &&) WHERE ((status = ANY (ARRAY['held'::text, 'confirmed'::text, 'completed'::text])))";
