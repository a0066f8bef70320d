//! Codes that were sent by mail.

use std::time::Duration;

use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::Email;

/// A code for the member with this address, if there is one, it is of use, and they have not had three
/// within the hour: nobody's mailbox is to be filled. Again for the same code, it does nothing.
pub(crate) async fn create(
    conn: &mut PgConnection,
    id: Uuid,
    email: &Email,
    purpose: &str,
    life: Duration,
) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "INSERT INTO mail_code (code_id, member_id, purpose, expires_at)
         SELECT $1, m.member_id, $3, now() + make_interval(secs => $4)
         FROM member m
         WHERE m.email = $2 AND m.disabled_at IS NULL AND ($3 <> 'verify' OR m.verified_at IS NULL)
           AND (SELECT count(*) FROM mail_code c
                WHERE c.member_id = m.member_id AND c.purpose = $3
                  AND c.created_at > now() - interval '1 hour') < 3
         ON CONFLICT ON CONSTRAINT mail_code_pk DO NOTHING",
        id,
        email.as_str(),
        purpose,
        life.as_secs_f64(),
    );
    query("code_create", statement.execute(conn)).await.map(drop)
}

/// Where a code goes, unless there is none or it has become useless.
pub(crate) async fn addressee(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<String>> {
    let statement = sqlx::query_scalar!(
        "SELECT m.email FROM mail_code c JOIN member m USING (member_id)
         WHERE c.code_id = $1 AND c.used_at IS NULL AND c.expires_at > now() AND m.disabled_at IS NULL",
        id,
    );
    query("code_addressee", statement.fetch_optional(conn)).await
}

/// The codes that the member with this address may bring, and the member.
pub(crate) async fn live(
    conn: &mut PgConnection,
    email: &Email,
    purpose: &str,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    let statement = sqlx::query!(
        "SELECT c.code_id, m.member_id FROM mail_code c JOIN member m USING (member_id)
         WHERE m.email = $1 AND m.disabled_at IS NULL AND c.purpose = $2 AND c.used_at IS NULL
           AND c.expires_at > now()",
        email.as_str(),
        purpose,
    );
    let rows = query("code_live", statement.fetch_all(conn)).await?;
    Ok(rows.into_iter().map(|row| (row.code_id, row.member_id)).collect())
}

/// Uses a code up, and with it all others of its purpose; false when it has been used.
pub(crate) async fn use_up(tx: &mut PgConnection, id: Uuid, member: Uuid) -> sqlx::Result<bool> {
    let statement = sqlx::query!(
        "UPDATE mail_code SET used_at = now()
         WHERE code_id = $1 AND used_at IS NULL AND expires_at > now()",
        id,
    );
    let used = query("code_use", statement.execute(&mut *tx)).await?.rows_affected() == 1;
    let statement = sqlx::query!(
        "UPDATE mail_code SET used_at = now()
         WHERE member_id = $2 AND used_at IS NULL
           AND purpose = (SELECT purpose FROM mail_code WHERE code_id = $1)",
        id,
        member,
    );
    query("code_use_others", statement.execute(tx)).await?;
    Ok(used)
}

pub(crate) async fn verify(tx: &mut PgConnection, member: Uuid) -> sqlx::Result<()> {
    let statement = sqlx::query!(
        "UPDATE member SET verified_at = now(), version = version + 1
         WHERE member_id = $1 AND verified_at IS NULL",
        member,
    );
    query("member_verify", statement.execute(tx)).await.map(drop)
}

/// Codes that nobody can use, a day later.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement =
        sqlx::query!("DELETE FROM mail_code WHERE expires_at < now() - interval '1 day'");
    Ok(query("code_forget", statement.execute(conn)).await?.rows_affected())
}
