//! Codes that were sent by mail.

use std::time::Duration;

use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::Email;

/// How many codes of one purpose a requester gets for one member within an hour.
const EACH: i64 = 3;

/// How many all requesters together get. Beyond it there is still one when no other is live: strangers cannot keep
/// an owner without a code.
const ALL: i64 = 6;

/// How many codes of one purpose are live at once: each is one that a guess may hit.
const LIVE: i64 = 5;

/// A code for the member with this address, if there is one, it is of use, and there have not been too many within
/// the hour: nobody's mailbox is to be filled. Again for the same code, it does nothing.
///
/// Deliveries at the same time count one after the other: the member's row is locked, and the statement that
/// counts begins only then.
pub(crate) async fn create(
    tx: &mut PgConnection,
    id: Uuid,
    email: &Email,
    purpose: &str,
    life: Duration,
    requester: &[u8],
) -> sqlx::Result<()> {
    let statement = sqlx::query_scalar!(
        "SELECT member_id FROM member
         WHERE email = $1 AND disabled_at IS NULL AND ($2 <> 'verify' OR verified_at IS NULL)
         FOR NO KEY UPDATE",
        email.as_str(),
        purpose,
    );
    let member = query("code_lock", statement.fetch_optional(&mut *tx)).await?;
    let Some(member) = member else { return Ok(()) };
    let statement = sqlx::query!(
        "INSERT INTO mail_code (code_id, member_id, purpose, expires_at, requester)
         SELECT $1, $2, $3, now() + make_interval(secs => $4), $5
         FROM (SELECT count(*) FILTER (WHERE is_new) AS sent,
                      count(*) FILTER (WHERE is_new AND requester = $5) AS own,
                      count(*) FILTER (WHERE used_at IS NULL AND expires_at > now()) AS live
               FROM (SELECT *, created_at > now() - interval '1 hour' AS is_new FROM mail_code
                     WHERE member_id = $2 AND purpose = $3) c) c
         WHERE own < $6 AND live < $8 AND (sent < $7 OR live = 0)
         ON CONFLICT ON CONSTRAINT mail_code_pk DO NOTHING",
        id,
        member,
        purpose,
        life.as_secs_f64(),
        requester,
        EACH,
        ALL,
        LIVE,
    );
    query("code_create", statement.execute(tx)).await.map(drop)
}

/// The address that a code goes to, unless there is none or the code has become useless.
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

/// Uses a code up, and with it all others of the member; false when it has been used.
pub(crate) async fn use_up(tx: &mut PgConnection, id: Uuid, member: Uuid) -> sqlx::Result<bool> {
    let statement = sqlx::query!(
        "UPDATE mail_code SET used_at = now()
         WHERE code_id = $1 AND used_at IS NULL AND expires_at > now()",
        id,
    );
    let used = query("code_use", statement.execute(&mut *tx)).await?.rows_affected() == 1;
    let statement = sqlx::query!(
        "UPDATE mail_code SET used_at = now() WHERE member_id = $1 AND used_at IS NULL",
        member,
    );
    query("code_use_others", statement.execute(tx)).await?;
    Ok(used)
}

/// False when the address was verified before.
pub(crate) async fn verify(tx: &mut PgConnection, member: Uuid) -> sqlx::Result<bool> {
    let statement = sqlx::query!(
        "UPDATE member SET verified_at = now(), version = version + 1
         WHERE member_id = $1 AND verified_at IS NULL",
        member,
    );
    Ok(query("member_verify", statement.execute(tx)).await?.rows_affected() == 1)
}

/// Codes that nobody can use, a day later.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement =
        sqlx::query!("DELETE FROM mail_code WHERE expires_at < now() - interval '1 day'");
    Ok(query("code_forget", statement.execute(conn)).await?.rows_affected())
}
