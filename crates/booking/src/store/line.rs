//! The LINE channels of merchants, and the LINE users of their members.

use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::LineUserId;

/// Connects a merchant's channel with a sealed token. Returns `false` when the merchant is not the owner's.
pub(crate) async fn upsert_channel(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: Uuid,
    token: &[u8],
) -> sqlx::Result<bool> {
    let insert = sqlx::query!(
        "INSERT INTO merchant_line (merchant_id, channel_token, updated_at)
         SELECT merchant_id, $3, now() FROM merchant WHERE merchant_id = $1 AND owner_id = $2
         ON CONFLICT ON CONSTRAINT merchant_line_pk
         DO UPDATE SET channel_token = EXCLUDED.channel_token, updated_at = now()",
        merchant,
        owner,
        token,
    );
    Ok(query("upsert_channel", insert.execute(conn)).await?.rows_affected() == 1)
}

/// Disconnects a merchant's channel. Returns `false` when the owner has no such merchant or it has no channel.
pub(crate) async fn delete_channel(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: Uuid,
) -> sqlx::Result<bool> {
    let delete = sqlx::query!(
        "DELETE FROM merchant_line USING merchant
         WHERE merchant_line.merchant_id = $1 AND merchant.merchant_id = $1 AND owner_id = $2",
        merchant,
        owner,
    );
    Ok(query("delete_channel", delete.execute(conn)).await?.rows_affected() == 1)
}

/// Connects a member with the LINE user of a proven code, and uses the code up.
pub(crate) async fn upsert_contact(conn: &mut PgConnection, code: &SentCode) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "WITH used AS (
             UPDATE line_code SET used_at = now() WHERE code_id = $1 AND merchant_id = $2
             RETURNING merchant_id, member_id, line_user_id
         )
         INSERT INTO line_contact (merchant_id, member_id, line_user_id, updated_at)
         SELECT merchant_id, member_id, line_user_id, now() FROM used
         ON CONFLICT ON CONSTRAINT line_contact_pk
         DO UPDATE SET line_user_id = EXCLUDED.line_user_id, updated_at = now()",
        code.code_id,
        code.merchant_id,
    );
    query("upsert_contact", insert.execute(conn)).await?;
    Ok(())
}

/// Returns the name and the sealed channel token of an open merchant; `None` without a channel.
pub(crate) async fn channel_of_merchant(
    conn: &mut PgConnection,
    merchant: Uuid,
) -> sqlx::Result<Option<(String, Vec<u8>)>> {
    let select = sqlx::query!(
        "SELECT name, channel_token FROM merchant JOIN merchant_line USING (merchant_id)
         WHERE merchant_id = $1 AND owner_id IS NOT NULL",
        merchant,
    );
    let row = query("channel_of_merchant", select.fetch_optional(conn)).await?;
    Ok(row.map(|row| (row.name, row.channel_token)))
}

/// A code to send.
pub(crate) struct NewCode<'a> {
    pub(crate) code_id: Uuid,
    pub(crate) merchant_id: Uuid,
    pub(crate) member_id: Uuid,
    pub(crate) user: &'a LineUserId,
    pub(crate) sealed: &'a [u8],
}

/// The most codes that one merchant sends within an hour.
#[derive(Clone, Copy)]
pub(crate) struct CodeLimits {
    pub(crate) of_member: i64,
    pub(crate) to_user: i64,
}

/// Records a code, unless a limit is reached. Locks the count of the merchant until the transaction ends, so that two
/// requests never count at the same time.
pub(crate) async fn insert_code(
    conn: &mut PgConnection,
    code: &NewCode<'_>,
    limits: CodeLimits,
) -> sqlx::Result<bool> {
    let lock = sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('line codes ' || $1::uuid, 0))",
        code.merchant_id,
    );
    query("lock_line_codes", lock.execute(&mut *conn)).await?;
    let forget = sqlx::query!("DELETE FROM line_code WHERE created_at < now() - interval '1 day'");
    query("forget_line_codes", forget.execute(&mut *conn)).await?;
    let insert = sqlx::query!(
        "INSERT INTO line_code (code_id, merchant_id, member_id, line_user_id, code)
         SELECT $1, $2, $3, $4, $5
         WHERE (SELECT count(*) FROM line_code
                WHERE merchant_id = $2 AND member_id = $3 AND created_at > now() - interval '1 hour') < $6
           AND (SELECT count(*) FROM line_code
                WHERE merchant_id = $2 AND line_user_id = $4 AND created_at > now() - interval '1 hour') < $7",
        code.code_id,
        code.merchant_id,
        code.member_id,
        code.user.as_str(),
        code.sealed,
        limits.of_member,
        limits.to_user,
    );
    Ok(query("insert_line_code", insert.execute(conn)).await?.rows_affected() == 1)
}

/// A code that was sent.
pub(crate) struct SentCode {
    pub(crate) code_id: Uuid,
    pub(crate) merchant_id: Uuid,
    pub(crate) code: Vec<u8>,
}

/// Takes one of five tries from the latest code of a member, and returns the code. `None` when it is older than ten
/// minutes, used, or has no try left.
pub(crate) async fn try_code(
    conn: &mut PgConnection,
    merchant: Uuid,
    member: Uuid,
) -> sqlx::Result<Option<SentCode>> {
    let update = sqlx::query_as!(
        SentCode,
        "UPDATE line_code SET tries = tries + 1
         WHERE (code_id, merchant_id) = (
                   SELECT code_id, merchant_id FROM line_code
                   WHERE merchant_id = $1 AND member_id = $2
                   ORDER BY created_at DESC, code_id DESC LIMIT 1)
           AND tries < 5 AND used_at IS NULL AND created_at > now() - interval '10 minutes'
         RETURNING code_id, merchant_id, code",
        merchant,
        member,
    );
    query("try_line_code", update.fetch_optional(conn)).await
}

/// Disconnects a member from LINE. Returns `false` when they are not connected.
pub(crate) async fn delete_contact(
    conn: &mut PgConnection,
    merchant: Uuid,
    member: Uuid,
) -> sqlx::Result<bool> {
    let delete = sqlx::query!(
        "DELETE FROM line_contact WHERE merchant_id = $1 AND member_id = $2",
        merchant,
        member,
    );
    Ok(query("delete_contact", delete.execute(conn)).await?.rows_affected() == 1)
}
