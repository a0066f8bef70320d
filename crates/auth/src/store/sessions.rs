//! Sessions. Their ends follow the database's clock.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Audience, Device, IDLE_LIFE, Renewable, SESSION_LIFE};

/// A locked session, with the salt of its refresh tokens.
pub(crate) struct Locked {
    pub(crate) member_id: Uuid,
    pub(crate) salt: Vec<u8>,
    pub(crate) state: Renewable,
    /// The latest end, however much the session is used.
    pub(crate) ends: DateTime<Utc>,
    pub(crate) now: DateTime<Utc>,
    /// The only service that the session is for.
    pub(crate) audience: Option<Audience>,
    /// The roles beside `member`. Revoking a role ends the sessions, too, so a role read here is still held when the
    /// lock is taken. None while the address is not verified.
    pub(crate) roles: Vec<String>,
}

/// A live session of a member.
pub(crate) struct Row {
    pub(crate) session_id: Uuid,
    pub(crate) device: String,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) last_used_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
}

/// A choice among a member's sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Selection {
    All,
    One(Uuid),
    AllBut(Uuid),
}

/// Begins a session and returns its latest end. `None` when, since the password was checked, it has changed or the
/// account was disabled: that ends all sessions, and must end this one, too. Also `None` for an account that is due for
/// deletion, because it was not verified or used in time.
pub(crate) async fn begin(
    tx: &mut PgConnection,
    id: Uuid,
    member: Uuid,
    password_of: DateTime<Utc>,
    salt: &[u8],
    (device, audience): (&Device, Option<Audience>),
) -> sqlx::Result<Option<DateTime<Utc>>> {
    let statement = sqlx::query_scalar!(
        "WITH proof AS (
             SELECT p.member_id FROM member_password p JOIN member m USING (member_id)
             WHERE p.member_id = $2 AND p.changed_at = $3 AND m.disabled_at IS NULL
               AND (m.verified_at IS NOT NULL OR m.verify_by IS NULL OR m.verify_by > now()
                    OR EXISTS (SELECT FROM member_role r WHERE r.member_id = m.member_id)
                    OR EXISTS (SELECT FROM security_event e
                               WHERE e.member_id = m.member_id AND e.kind = 'signed_in'))
             FOR SHARE
         )
         INSERT INTO session (session_id, member_id, created_at, expires_at, rotated_at,
                              idle_expires_at, refresh_salt, device, audience)
         SELECT $1, member_id, now(), now() + make_interval(secs => $6), now(),
                now() + make_interval(secs => $7), $4, $5, $8
         FROM proof
         RETURNING expires_at",
        id,
        member,
        password_of,
        salt,
        device.as_str(),
        SESSION_LIFE.as_secs_f64(),
        IDLE_LIFE.as_secs_f64(),
        audience.map(Audience::as_str),
    );
    query("session_begin", statement.fetch_optional(tx)).await
}

/// Locks a session until the transaction ends: of any number of exchanges at the same time, one sees the token unused.
pub(crate) async fn lock(tx: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Locked>> {
    // Not `now()`: that is the time before the wait for the lock.
    let statement = sqlx::query!(
        r#"SELECT member_id, refresh_salt, generation, rotated_at, device, audience, expires_at AS ends,
               least(expires_at, idle_expires_at) AS "expires_at!",
               ended_at IS NOT NULL AS "ended!", clock_timestamp() AS "now!",
               ARRAY(SELECT role FROM member_role r JOIN member m USING (member_id)
                     WHERE r.member_id = s.member_id AND m.verified_at IS NOT NULL) AS "roles!"
           FROM session s WHERE session_id = $1 FOR UPDATE"#,
        id,
    );
    let row = query("session_lock", statement.fetch_optional(tx)).await?;
    Ok(row.map(|row| Locked {
        member_id: row.member_id,
        salt: row.refresh_salt,
        state: Renewable {
            generation: row.generation,
            rotated_at: row.rotated_at,
            expires_at: row.expires_at,
            ended: row.ended,
            device: Device::new(&row.device),
        },
        ends: row.ends,
        now: row.now,
        audience: row.audience.as_deref().and_then(Audience::parse),
        roles: row.roles,
    }))
}

/// Advances a session to the next refresh token.
pub(crate) async fn rotate(tx: &mut PgConnection, id: Uuid, device: &Device) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "UPDATE session SET generation = generation + 1, device = $2, rotated_at = clock_timestamp(),
             idle_expires_at = now() + make_interval(secs => $3)
         WHERE session_id = $1",
        id,
        device.as_str(),
        IDLE_LIFE.as_secs_f64(),
    );
    query("session_rotate", statement.execute(tx)).await.map(drop)
}

/// Ends live sessions and returns their ids.
pub(crate) async fn end(
    tx: &mut PgConnection,
    member: Uuid,
    selection: Selection,
    reason: &str,
) -> sqlx::Result<Vec<Uuid>> {
    let (only, but) = match selection {
        Selection::All => (None, None),
        Selection::One(id) => (Some(id), None),
        Selection::AllBut(id) => (None, Some(id)),
    };
    let statement = sqlx::query_scalar!(
        "UPDATE session SET ended_at = clock_timestamp(), end_reason = $4
         WHERE member_id = $1 AND ended_at IS NULL
           AND ($2::uuid IS NULL OR session_id = $2) AND ($3::uuid IS NULL OR session_id <> $3)
         RETURNING session_id",
        member,
        only,
        but,
        reason,
    );
    query("session_end", statement.fetch_all(tx)).await
}

/// Returns the sessions that were ended within this time.
pub(crate) async fn ended_within(
    conn: &mut PgConnection,
    back: Duration,
) -> sqlx::Result<Vec<Uuid>> {
    let statement = sqlx::query_scalar!(
        "SELECT session_id FROM session WHERE ended_at > now() - make_interval(secs => $1)",
        back.as_secs_f64(),
    );
    query("session_ended_within", statement.fetch_all(conn)).await
}

/// Returns the member's live sessions, newest first.
pub(crate) async fn list(conn: &mut PgConnection, member: Uuid) -> sqlx::Result<Vec<Row>> {
    let statement = sqlx::query_as!(
        Row,
        r#"SELECT session_id, device, created_at, rotated_at AS last_used_at,
               least(expires_at, idle_expires_at) AS "expires_at!"
           FROM session
           WHERE member_id = $1 AND ended_at IS NULL AND expires_at > now() AND idle_expires_at > now()
           ORDER BY created_at DESC, session_id DESC
           LIMIT 100"#,
        member,
    );
    query("session_list", statement.fetch_all(conn)).await
}

pub(crate) async fn is_active(
    conn: &mut PgConnection,
    id: Uuid,
    member: Uuid,
) -> sqlx::Result<bool> {
    let statement = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM session
               WHERE session_id = $1 AND member_id = $2 AND ended_at IS NULL AND expires_at > now()
           ) AS "active!""#,
        id,
        member,
    );
    query("session_is_active", statement.fetch_one(conn)).await
}

pub(crate) async fn count_active(conn: &mut PgConnection) -> sqlx::Result<i64> {
    let statement = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM session
           WHERE ended_at IS NULL AND expires_at > now() AND idle_expires_at > now()"#
    );
    query("session_count", statement.fetch_one(conn)).await
}

/// Deletes sessions that ended over a day ago.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement = sqlx::query!(
        "DELETE FROM session
         WHERE least(expires_at, idle_expires_at, ended_at) < now() - interval '1 day'"
    );
    Ok(query("session_forget", statement.execute(conn)).await?.rows_affected())
}
