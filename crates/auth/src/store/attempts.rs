//! Guesses, counted before they are checked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;

use crate::domain::STRANGERS_ATTEMPTS;

/// A guess that may be checked. Each ends in one of [`failed`], [`succeeded`] and [`returned`]; one
/// that ends in none, because the process died, stays counted.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    account: [u8; 32],
    /// Names the window: the counts of another one are not ours to change.
    window_ends_at: DateTime<Utc>,
}

/// Guesses that are counted together, and how many there may be.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    pub(crate) account: [u8; 32],
    pub(crate) limit: i32,
    /// Each window that was used up makes the next one twice as long.
    pub(crate) doubles: bool,
}

/// The outcome of asking for a guess.
pub(crate) enum Reservation {
    /// Counted everywhere.
    Made(Vec<Attempt>),
    /// All there may be were wrong; more in so long.
    Locked(Duration),
    /// Some are still being checked, and may turn out right.
    Busy,
}

/// Takes one guess of each of these counts, or of none, in windows that begin with the first. One statement
/// and one round trip: of any number of guesses at the same time, `limit` get through. Where a count is used
/// up it writes nothing: guesses that waited for the row's lock, and then for a commit to reach the disk, would
/// keep every connection from everybody else.
pub(crate) async fn reserve(
    conn: &mut PgConnection,
    counts: &[Count],
    window: Duration,
) -> sqlx::Result<Reservation> {
    let accounts: Vec<_> = counts.iter().map(|count| count.account.to_vec()).collect();
    let doubles: Vec<_> = counts.iter().map(|count| count.doubles).collect();
    let limits: Vec<_> = counts.iter().map(|count| count.limit).collect();
    // Rows are taken in the order that they are asked for in, which is always the same: no deadlock.
    let statement = sqlx::query!(
        r#"WITH asked AS (
               SELECT * FROM unnest($1::bytea[], $2::int4[], $4::bool[]) WITH ORDINALITY
                   AS k (account, allowed, doubles, place)
           ), used_up AS MATERIALIZED (
               SELECT a.window_ends_at, a.failed >= k.allowed AS locked
               FROM asked k
               CROSS JOIN LATERAL (SELECT * FROM login_attempt WHERE account = k.account OFFSET 0) a
               WHERE a.reserved >= k.allowed AND a.window_ends_at > now()
           ), made AS (
               INSERT INTO login_attempt AS a (account, allowed, reserved, failed, window_ends_at)
               SELECT account, allowed, 1, 0, now() + make_interval(secs => $3) FROM asked
               WHERE NOT EXISTS (SELECT FROM used_up)
               ORDER BY place
               ON CONFLICT (account) DO UPDATE SET
                   allowed = excluded.allowed,
                   level = CASE WHEN a.window_ends_at > now() THEN a.level
                       WHEN a.failed >= a.allowed AND (SELECT k.doubles FROM asked k WHERE k.account = a.account) THEN least(a.level + 1, 6) ELSE 0 END,
                   reserved = CASE WHEN a.window_ends_at <= now() THEN 1 ELSE a.reserved + 1 END,
                   failed = CASE WHEN a.window_ends_at <= now() THEN 0 ELSE a.failed END,
                   window_ends_at = CASE WHEN a.window_ends_at <= now()
                       THEN now() + make_interval(secs => $3)
                           * CASE WHEN a.failed >= a.allowed AND (SELECT k.doubles FROM asked k WHERE k.account = a.account)
                               THEN power(2, least(a.level + 1, 6)) ELSE 1 END
                       ELSE a.window_ends_at END
               WHERE a.window_ends_at <= now() OR a.reserved < excluded.allowed
               RETURNING account, window_ends_at
           )
           SELECT account, window_ends_at AS "window_ends_at!", false AS "locked!", 0::float8 AS "seconds!"
           FROM made
           UNION ALL
           SELECT NULL, window_ends_at, locked, EXTRACT(EPOCH FROM window_ends_at - now())::float8
           FROM used_up"#,
        &accounts,
        &limits,
        window.as_secs_f64(),
        &doubles,
    );
    let rows = query("attempt_reserve", statement.fetch_all(&mut *conn)).await?;
    if let Some(lock) = rows.iter().find(|row| row.locked) {
        return Ok(Reservation::Locked(
            Duration::try_from_secs_f64(lock.seconds).unwrap_or_default(),
        ));
    }
    let made = rows.into_iter().filter_map(|row| {
        let account = row.account?.try_into().ok()?;
        Some(Attempt { account, window_ends_at: row.window_ends_at })
    });
    let made: Vec<_> = made.collect();
    if made.len() == counts.len() {
        return Ok(Reservation::Made(made));
    }
    // Somebody took the last one of the other count in the same moment.
    for attempt in &made {
        returned(conn, attempt).await?;
    }
    Ok(Reservation::Busy)
}

/// The guess was wrong. True when it was the last one allowed: that begins a lock.
pub(crate) async fn failed(conn: &mut PgConnection, attempt: &Attempt) -> sqlx::Result<bool> {
    let statement = sqlx::query_scalar!(
        r#"UPDATE login_attempt SET failed = failed + 1
           WHERE account = $1 AND window_ends_at = $2 AND failed < reserved
           RETURNING failed = allowed AS "locks!""#,
        &attempt.account[..],
        attempt.window_ends_at,
    );
    Ok(query("attempt_failed", statement.fetch_optional(conn)).await?.unwrap_or(false))
}

/// The guess was right, which forgives the wrong ones before it. Those that are still being checked
/// stay counted: they may yet turn out wrong.
pub(crate) async fn succeeded(conn: &mut PgConnection, attempt: &Attempt) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "UPDATE login_attempt SET reserved = greatest(reserved - failed - 1, 0), failed = 0, level = 0
         WHERE account = $1 AND window_ends_at = $2",
        &attempt.account[..],
        attempt.window_ends_at,
    );
    query("attempt_succeeded", statement.execute(conn)).await.map(drop)
}

/// The guess was not checked, so it does not count.
pub(crate) async fn returned(conn: &mut PgConnection, attempt: &Attempt) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "UPDATE login_attempt SET reserved = reserved - 1
         WHERE account = $1 AND window_ends_at = $2 AND failed < reserved",
        &attempt.account[..],
        attempt.window_ends_at,
    );
    query("attempt_returned", statement.execute(conn)).await.map(drop)
}

/// How many addresses have a wrong guess in their current window. Only the count of all strangers allows so many.
pub(crate) async fn count_guessed(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let statement = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM login_attempt
           WHERE window_ends_at > now() AND failed > 0 AND allowed = $1"#,
        STRANGERS_ATTEMPTS,
    );
    query("attempt_count_guessed", statement.fetch_one(conn)).await
}

/// Forgets a count: the secret that was guessed at holds no longer.
pub(crate) async fn clear(conn: &mut PgConnection, count: &Count) -> sqlx::Result<()> {
    let statement =
        sqlx::query!("DELETE FROM login_attempt WHERE account = $1", &count.account[..]);
    query("attempt_clear", statement.execute(conn)).await.map(drop)
}

/// Windows that were over a day ago count for nothing; until then they make the next one longer.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement =
        sqlx::query!("DELETE FROM login_attempt WHERE window_ends_at < now() - interval '1 day'");
    Ok(query("attempt_forget", statement.execute(conn)).await?.rows_affected())
}
