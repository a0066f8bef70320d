//! Guesses, counted before they are checked.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;

/// A guess that may be checked. Each ends in one of [`failed`], [`succeeded`] and [`returned`]; one
/// that ends in none, because the process died, stays counted.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    account: [u8; 32],
    /// Names the window: the counts of another one are not ours to change.
    window_ends_at: DateTime<Utc>,
}

/// Why there is no guess at `account` now.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blocked {
    /// All were wrong; more in so long.
    Locked(Duration),
    /// Some are still being checked, and may turn out right.
    Busy,
}

/// Whether all of `limit` guesses at `account` are taken. Asked first, because it writes nothing: guesses
/// that only wait for the row's lock, and then for its commit to reach the disk, would keep every
/// connection from everybody else.
pub(crate) async fn blocked(
    conn: &mut PgConnection,
    account: [u8; 32],
    limit: i32,
) -> sqlx::Result<Option<Blocked>> {
    let statement = sqlx::query!(
        r#"SELECT EXTRACT(EPOCH FROM window_ends_at - now())::float8 AS "seconds!", failed
           FROM login_attempt
           WHERE account = $1 AND reserved >= $2 AND window_ends_at > now()"#,
        &account[..],
        limit,
    );
    let row = query("attempt_blocked", statement.fetch_optional(conn)).await?;
    Ok(row.map(|row| {
        if row.failed < limit {
            return Blocked::Busy;
        }
        Blocked::Locked(Duration::try_from_secs_f64(row.seconds).unwrap_or_default())
    }))
}

/// Takes one of `limit` guesses at `account` in a window that begins with the first. One statement:
/// of any number of guesses at the same time, `limit` get through.
pub(crate) async fn reserve(
    conn: &mut PgConnection,
    account: [u8; 32],
    limit: i32,
    window: Duration,
) -> sqlx::Result<Option<Attempt>> {
    let statement = sqlx::query_scalar!(
        "INSERT INTO login_attempt AS a (account, allowed, reserved, failed, window_ends_at)
         VALUES ($1, $2, 1, 0, now() + make_interval(secs => $3))
         ON CONFLICT (account) DO UPDATE SET
             allowed = excluded.allowed,
             level = CASE WHEN a.window_ends_at > now() THEN a.level
                 WHEN a.failed >= a.allowed THEN least(a.level + 1, 6) ELSE 0 END,
             reserved = CASE WHEN a.window_ends_at <= now() THEN 1 ELSE a.reserved + 1 END,
             failed = CASE WHEN a.window_ends_at <= now() THEN 0 ELSE a.failed END,
             window_ends_at = CASE WHEN a.window_ends_at <= now()
                 THEN now() + make_interval(secs => $3)
                     * CASE WHEN a.failed >= a.allowed THEN power(2, least(a.level + 1, 6)) ELSE 1 END
                 ELSE a.window_ends_at END
         WHERE a.window_ends_at <= now() OR a.reserved < $2
         RETURNING window_ends_at",
        &account[..],
        limit,
        window.as_secs_f64(),
    );
    let window_ends_at = query("attempt_reserve", statement.fetch_optional(conn)).await?;
    Ok(window_ends_at.map(|window_ends_at| Attempt { account, window_ends_at }))
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

/// Windows that were over a day ago count for nothing; until then they make the next one longer.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement =
        sqlx::query!("DELETE FROM login_attempt WHERE window_ends_at < now() - interval '1 day'");
    Ok(query("attempt_forget", statement.execute(conn)).await?.rows_affected())
}
