//! Codes sent by mail.

use std::time::Duration;

use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::Email;

/// Codes of one purpose that a requester gets for one member within an hour.
const EACH: i64 = 3;

/// Codes that all requesters together get. Beyond it a code is still made when none is live, so that strangers cannot
/// keep an owner without one.
const ALL: i64 = 6;

/// Codes of one purpose that are live at once: a guess may hit any of them.
const LIVE: i64 = 5;

/// Creates a code for the member with this address, if there is one, the code is of use, and the limits of the hour
/// allow it: they keep a mailbox from being filled. Does nothing for a code that exists.
///
/// Deliveries at the same time count one after the other: the member's row is locked before the statement that counts
/// begins.
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

/// Returns the address that a code goes to, unless the code is of no use any more.
pub(crate) async fn addressee(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<String>> {
    let statement = sqlx::query_scalar!(
        "SELECT m.email FROM mail_code c JOIN member m USING (member_id)
         WHERE c.code_id = $1 AND c.used_at IS NULL AND c.expires_at > now() AND m.disabled_at IS NULL",
        id,
    );
    query("code_addressee", statement.fetch_optional(conn)).await
}

/// Returns the live codes of the member with this address, each with the member.
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

/// Uses up a code and all others of the member. False when it was used or has expired.
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

/// Marks a member's address as verified. False when it was before.
pub(crate) async fn verify(tx: &mut PgConnection, member: Uuid) -> sqlx::Result<bool> {
    let statement = sqlx::query!(
        "UPDATE member SET verified_at = now(), version = version + 1
         WHERE member_id = $1 AND verified_at IS NULL",
        member,
    );
    Ok(query("member_verify", statement.execute(tx)).await?.rows_affected() == 1)
}

/// Deletes codes that expired over a day ago.
pub(crate) async fn forget(conn: &mut PgConnection) -> sqlx::Result<u64> {
    let statement =
        sqlx::query!("DELETE FROM mail_code WHERE expires_at < now() - interval '1 day'");
    Ok(query("code_forget", statement.execute(conn)).await?.rows_affected())
}
