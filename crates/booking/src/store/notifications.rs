//! The messages to members, and their delivery.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Booking, Delivery, Occasion};
use crate::view::Notification;

/// Queues a message about a booking, unless the merchant has no channel or the member is not connected to it.
pub(crate) async fn insert_notification(
    conn: &mut PgConnection,
    id: Uuid,
    booking: &Booking,
    occasion: Occasion,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO notification_logs (notification_id, merchant_id, booking_id, member_id, kind,
                                        starts_at)
         SELECT $1, merchant_id, $3, member_id, $5, $6
         FROM line_contact JOIN merchant_line USING (merchant_id)
         WHERE merchant_id = $2 AND member_id = $4
         ON CONFLICT DO NOTHING",
        id,
        booking.merchant_id,
        booking.booking_id,
        booking.member_id,
        occasion.as_str(),
        booking.starts_at,
    );
    query("insert_notification", insert.execute(conn)).await?;
    Ok(())
}

/// Queues one reminder for each booking that begins within a day after `now` and was made earlier than a day before
/// its start.
pub(crate) async fn insert_reminders(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<u64> {
    let insert = sqlx::query!(
        "INSERT INTO notification_logs (notification_id, merchant_id, booking_id, member_id, kind,
                                        starts_at)
         SELECT gen_random_uuid(), merchant_id, booking_id, member_id, 'reminder', lower(during)
         FROM booking b JOIN merchant_line USING (merchant_id)
              JOIN line_contact USING (merchant_id, member_id)
         WHERE status = 'confirmed' AND lower(during) > $1 AND lower(during) <= $1 + interval '1 day'
           AND b.created_at < lower(during) - interval '1 day'
           AND NOT EXISTS (SELECT FROM notification_logs told
                           WHERE told.merchant_id = b.merchant_id AND told.booking_id = b.booking_id
                             AND told.kind = 'reminder' AND told.starts_at = lower(b.during))
         ORDER BY lower(during) LIMIT $2
         ON CONFLICT DO NOTHING",
        now,
        limit,
    );
    Ok(query("insert_reminders", insert.execute(conn)).await?.rows_affected())
}

/// Drops the pending messages about a booking, because another replaces them. A leased one stays, and later ones wait
/// for it.
pub(crate) async fn drop_notifications(
    conn: &mut PgConnection,
    booking: &Booking,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE notification_logs
         SET status = 'dropped', error_reason = 'superseded', settled_at = now()
         WHERE booking_id = $1 AND merchant_id = $2 AND status = 'pending'
           AND (lease_until IS NULL OR lease_until <= clock_timestamp())",
        booking.booking_id,
        booking.merchant_id,
    );
    query("drop_notifications", update.execute(conn)).await?;
    Ok(())
}

/// A message that is due, with everything needed to send it.
pub(crate) struct Due {
    pub(crate) notification_id: Uuid,
    pub(crate) merchant_id: Uuid,
    pub(crate) kind: String,
    pub(crate) starts_at: DateTime<Utc>,
    /// The current status and start of the booking; `None` when it is archived.
    pub(crate) status: Option<String>,
    pub(crate) starts_now: Option<DateTime<Utc>>,
    pub(crate) merchant: String,
    pub(crate) time_zone: String,
    /// `None` when the merchant or the member has disconnected meanwhile.
    pub(crate) channel_token: Option<Vec<u8>>,
    pub(crate) line_user_id: Option<String>,
    /// LINE forgets retry keys after a day: a later attempt could send the message twice.
    pub(crate) is_too_old: bool,
}

/// Leases messages that are due, of each booking only the first pending one. Should this process die, another takes
/// them after `lease`.
pub(crate) async fn claim_notifications(
    conn: &mut PgConnection,
    limit: i64,
    lease: Duration,
) -> sqlx::Result<Vec<Due>> {
    let update = sqlx::query_as!(
        Due,
        r#"WITH due AS (
               SELECT notification_id, merchant_id FROM notification_logs AS next
               WHERE status = 'pending' AND next_attempt_at <= now()
                 AND NOT EXISTS (
                     SELECT FROM notification_logs AS first
                     WHERE first.booking_id = next.booking_id AND first.merchant_id = next.merchant_id
                       AND first.status = 'pending'
                       AND (first.created_at, first.notification_id)
                           < (next.created_at, next.notification_id))
               ORDER BY next_attempt_at LIMIT $1 FOR UPDATE SKIP LOCKED
           ), taken AS (
               UPDATE notification_logs AS log
               SET next_attempt_at = clock_timestamp() + make_interval(secs => $2),
                   lease_until = clock_timestamp() + make_interval(secs => $2)
               FROM due WHERE log.notification_id = due.notification_id
                          AND log.merchant_id = due.merchant_id
               RETURNING log.notification_id, log.merchant_id, log.booking_id, log.member_id, kind,
                         starts_at, log.created_at
           )
           SELECT notification_id, merchant_id, kind, starts_at, name AS merchant, time_zone,
                  booking.status AS "status?", lower(during) AS "starts_now?",
                  channel_token AS "channel_token?", line_user_id AS "line_user_id?",
                  taken.created_at < now() - interval '23 hours' AS "is_too_old!"
           FROM taken JOIN merchant USING (merchant_id)
                LEFT JOIN merchant_line USING (merchant_id)
                LEFT JOIN line_contact USING (merchant_id, member_id)
                LEFT JOIN booking USING (booking_id, merchant_id)"#,
        limit,
        lease.as_secs_f64(),
    );
    query("claim_notifications", update.fetch_all(conn)).await
}

/// Records a final delivery, with the reason of a failure.
pub(crate) async fn settle_notification(
    conn: &mut PgConnection,
    due: &Due,
    delivery: Delivery,
    reason: Option<&str>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE notification_logs
         SET status = $3, error_reason = $4, attempts = attempts + 1, settled_at = now(),
             lease_until = NULL
         WHERE notification_id = $1 AND merchant_id = $2 AND status = 'pending'",
        due.notification_id,
        due.merchant_id,
        delivery.as_str(),
        reason,
    );
    query("settle_notification", update.execute(conn)).await?;
    Ok(())
}

/// Schedules another attempt after a second, doubled with each attempt, at most ten minutes.
pub(crate) async fn put_off_notification(
    conn: &mut PgConnection,
    due: &Due,
    reason: &str,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE notification_logs
         SET error_reason = $3, attempts = attempts + 1, lease_until = NULL,
             next_attempt_at = clock_timestamp() + make_interval(
                 secs => least(2 ^ least(attempts, 16), 600) * (0.5 + random() / 2))
         WHERE notification_id = $1 AND merchant_id = $2 AND status = 'pending'",
        due.notification_id,
        due.merchant_id,
        reason,
    );
    query("put_off_notification", update.execute(conn)).await?;
    Ok(())
}

/// Schedules a message again without counting an attempt, because LINE was not called.
pub(crate) async fn return_notification(
    conn: &mut PgConnection,
    due: &Due,
    pause: Duration,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE notification_logs
         SET next_attempt_at = clock_timestamp() + make_interval(secs => $3 * (1 + random())),
             lease_until = NULL
         WHERE notification_id = $1 AND merchant_id = $2 AND status = 'pending'",
        due.notification_id,
        due.merchant_id,
        pause.as_secs_f64(),
    );
    query("return_notification", update.execute(conn)).await?;
    Ok(())
}

/// Returns the messages about a booking at the owner's merchant, the oldest first.
pub(crate) async fn list_notifications(
    conn: &mut PgConnection,
    owner: Uuid,
    booking: Uuid,
) -> sqlx::Result<Vec<Notification>> {
    let select = sqlx::query_as!(
        Notification,
        "SELECT notification_id, kind, status, error_reason, attempts, log.created_at, settled_at
         FROM notification_logs log JOIN merchant USING (merchant_id)
         WHERE booking_id = $1 AND owner_id = $2 ORDER BY log.created_at, notification_id",
        booking,
        owner,
    );
    query("list_notifications", select.fetch_all(conn)).await
}

/// Returns the number of pending messages, and the age of the oldest in seconds.
pub(crate) async fn count_notifications(conn: &mut PgConnection) -> sqlx::Result<(i64, i64)> {
    let select = sqlx::query!(
        r#"SELECT count(*) AS "pending!",
                  COALESCE(extract(epoch FROM now() - min(created_at)), 0)::bigint AS "oldest!"
           FROM notification_logs WHERE status = 'pending'"#
    );
    let row = query("count_notifications", select.fetch_one(conn)).await?;
    Ok((row.pending, row.oldest))
}
