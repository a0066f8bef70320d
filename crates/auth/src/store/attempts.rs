//! Counts of guesses, taken before a guess is checked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;

use crate::domain::STRANGERS_ATTEMPTS;

/// A counted guess. Each ends in one of [`failed`], [`succeeded`] and [`returned`]; one that ends in none, because the
/// process died, stays counted.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    account: [u8; 32],
    /// Names the window, so that the counts of a later window are not changed.
    window_ends_at: DateTime<Utc>,
}

/// Guesses that are counted together, and their limit.
#[derive(Clone, Copy)]
pub(crate) struct Count {
    pub(crate) account: [u8; 32],
    pub(crate) limit: i32,
    /// Each used-up window doubles the next one.
    pub(crate) doubles: bool,
}

/// The outcome of [`reserve`].
pub(crate) enum Reservation {
    /// The guess is counted in every count.
    Made(Vec<Attempt>),
    /// All allowed guesses were wrong; the next is allowed after this time.
    Locked(Duration),
    /// The limit is reached, but some guesses are still being checked and may turn out right.
    Busy,
}

/// Takes one guess from every count, or from none, in windows that begin with the first guess. One statement: of any
/// number of guesses at the same time, `limit` get through. It writes nothing when a count is used up: otherwise
/// guesses that wait for the row's lock and for the commit would occupy every connection.
pub(crate) async fn reserve(
    conn: &mut PgConnection,
    counts: &[Count],
    window: Duration,
) -> sqlx::Result<Reservation> {
    let accounts: Vec<_> = counts.iter().map(|count| count.account.to_vec()).collect();
    let doubles: Vec<_> = counts.iter().map(|count| count.doubles).collect();
    let limits: Vec<_> = counts.iter().map(|count| count.limit).collect();
    // Rows are locked in the given order, which is always the same, so there is no deadlock.
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
    // Another guess took the last one of the other count at the same moment.
    for attempt in &made {
        returned(conn, attempt).await?;
    }
    Ok(Reservation::Busy)
}

/// Records a wrong guess. True when it was the last one allowed, which begins a lock.
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

/// Records a right guess, which forgives the wrong ones before it. Guesses still being checked stay counted: they may
/// turn out wrong.
pub(crate) async fn succeeded(conn: &mut PgConnection, attempt: &Attempt) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "UPDATE login_attempt SET reserved = greatest(reserved - failed - 1, 0), failed = 0, level = 0
         WHERE account = $1 AND window_ends_at = $2",
        &attempt.account[..],
        attempt.window_ends_at,
    );
    query("attempt_succeeded", statement.execute(conn)).await.map(drop)
}

/// Gives back a guess that was not checked.
pub(crate) async fn returned(conn: &mut PgConnection, attempt: &Attempt) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "UPDATE login_attempt SET reserved = reserved - 1
         WHERE account = $1 AND window_ends_at = $2 AND failed < reserved",
        &attempt.account[..],
        attempt.window_ends_at,
    );
    query("attempt_returned", statement.execute(conn)).await.map(drop)
}

/// Counts the addresses with a wrong guess in their current window. Only the count of all strangers has this limit, so
/// each address counts once.
pub(crate) async fn count_guessed(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let statement = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM login_attempt
           WHERE window_ends_at > now() AND failed > 0 AND allowed = $1"#,
        STRANGERS_ATTEMPTS,
    );
    query("attempt_count_guessed", statement.fetch_one(conn)).await
}

/// Deletes a count whose secret was replaced.
pub(crate) async fn clear(conn: &mut PgConnection, count: &Count) -> sqlx::Result<()> {
    let statement =
        sqlx::query!("DELETE FROM login_attempt WHERE account = $1", &count.account[..]);
    query("attempt_clear", statement.execute(conn)).await.map(drop)
}

/// Deletes windows that ended over a day ago. Until then they make the next one longer.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement =
        sqlx::query!("DELETE FROM login_attempt WHERE window_ends_at < now() - interval '1 day'");
    Ok(query("attempt_forget", statement.execute(conn)).await?.rows_affected())
}
