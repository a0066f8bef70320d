//! A booking as one SQL statement: a second reading. The textbook is `insert_booking` in `holds.rs`, within the
//! transaction of a use case.
//!
//! The statement is its own transaction. It does what a use case does in eight round trips: it locks the
//! idempotency key, checks the limit, inserts the booking, queues the message and records the answer.

use kit::command::Answer;
use kit::idempotency::{self, Key};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Booking, Occasion, TimeZone};

/// The parameters of [`book_in_one_statement`].
pub(crate) struct NewBooking<'a> {
    pub(crate) booking: &'a Booking,
    /// Zone of the merchant. When absent, a job records the wall time.
    pub(crate) zone: Option<TimeZone>,
    /// Bookings that the member may have ahead; `None` at their own merchant.
    pub(crate) limit: Option<i64>,
    /// The id of the message about the booking.
    pub(crate) notification_id: Uuid,
    pub(crate) key: &'a Key,
    pub(crate) answer: &'a Answer<Booking>,
}

/// Inserts a booking, its message and its recorded answer in one round trip. Returns `false` and writes nothing when
/// another booking occupies the slot, a concurrent request has the key, the member has reached the limit, or the
/// booking has no service and the merchant is not the member's own.
///
/// The snapshot may be older than the commit of a concurrent request with the same key. The constraints see that
/// request all the same: its booking occupies the slot, and once that is free again, `idempotency_key_pk` refuses
/// the whole statement.
pub(crate) async fn book_in_one_statement(
    conn: &mut PgConnection,
    new: NewBooking<'_>,
) -> sqlx::Result<bool> {
    let NewBooking { booking, zone, limit, notification_id, key, answer } = new;
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
        notification_id,
        Occasion::Booked.as_str(),
        booking.starts_at,
        principal,
        key.route,
        key.value,
        &key.fingerprint[..],
        i16::try_from(answer.success().status()).unwrap_or(i16::MAX), // statuses end at 999
        answer.body(),
        limit,
        zone.map(|zone| zone.local(booking.starts_at).naive_local()),
        zone.map(TimeZone::name),
    );
    Ok(query("insert_booking", insert.execute(conn)).await?.rows_affected() == 1)
}
