//! Known devices: those on which members have signed in.

use std::time::Duration;

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{DEVICE_LIFE, DEVICES, Email};

/// True for one of the last devices on which the member with this address has signed in lately with the current
/// password. The number is bounded here and not when a device is added: logins at the same time cannot see each
/// other's devices.
pub(crate) async fn is_known(
    conn: &mut PgConnection,
    id: Uuid,
    email: &Email,
) -> sqlx::Result<bool> {
    let statement = sqlx::query_scalar!(
        r#"SELECT EXISTS (
               SELECT FROM member m JOIN member_password p USING (member_id)
               CROSS JOIN LATERAL (
                   SELECT * FROM known_device WHERE member_id = m.member_id
                   ORDER BY used_at DESC, device_id DESC LIMIT $3) d
               WHERE m.email = $2 AND d.device_id = $1 AND d.password_of = p.changed_at
                 AND d.used_at > now() - make_interval(secs => $4)
           ) AS "known!""#,
        id,
        email.as_str(),
        DEVICES,
        DEVICE_LIFE.as_secs_f64(),
    );
    query("device_is_known", statement.fetch_one(conn)).await
}

/// Records a login on a device with the password of this time, and deletes the member's surplus devices.
pub(crate) async fn used(
    tx: &mut PgConnection,
    id: Uuid,
    member: Uuid,
    password_of: DateTime<Utc>,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "WITH surplus AS (
             DELETE FROM known_device WHERE device_id IN (
                 SELECT device_id FROM known_device WHERE member_id = $2 AND device_id <> $1
                 ORDER BY used_at DESC, device_id DESC OFFSET $4::bigint - 1)
         )
         INSERT INTO known_device AS d (device_id, member_id, password_of) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT known_device_pk DO UPDATE SET
             password_of = excluded.password_of, used_at = now()
         WHERE d.member_id = excluded.member_id",
        id,
        member,
        password_of,
        DEVICES,
    );
    query("device_used", statement.execute(tx)).await.map(drop)
}

/// Deletes all devices of a member.
pub(crate) async fn forget_all(tx: &mut PgConnection, member: Uuid) -> sqlx::Result<()> {
    let statement = sqlx::query!("DELETE FROM known_device WHERE member_id = $1", member);
    query("device_forget_all", statement.execute(tx)).await.map(drop)
}

/// Deletes devices without a login for too long.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let life: Duration = DEVICE_LIFE;
    let statement = sqlx::query!(
        "DELETE FROM known_device WHERE used_at < now() - make_interval(secs => $1)",
        life.as_secs_f64(),
    );
    Ok(query("device_forget", statement.execute(conn)).await?.rows_affected())
}
