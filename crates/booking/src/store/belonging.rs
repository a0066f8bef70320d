//! Who belongs to a merchant.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

/// Locks the merchant until the transaction ends. False when it does not exist or is not this owner's.
pub(crate) async fn lock_merchant(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: Uuid,
) -> sqlx::Result<bool> {
    let select = sqlx::query_scalar!(
        r#"SELECT true AS "found!" FROM merchant WHERE merchant_id = $1 AND owner_id = $2
           FOR NO KEY UPDATE"#,
        merchant,
        owner,
    );
    Ok(query("lock_merchant", select.fetch_optional(conn)).await?.is_some())
}

/// Which member this person signs in as, if they do; `None` when there is no such person.
pub(crate) async fn member_of_staff(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: Uuid,
) -> sqlx::Result<Option<Option<Uuid>>> {
    let select = sqlx::query_scalar!(
        "SELECT member_id FROM staff WHERE merchant_id = $1 AND staff_id = $2",
        merchant,
        staff,
    );
    query("member_of_staff", select.fetch_optional(conn)).await
}

pub(crate) async fn link_staff(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: Uuid,
    member: Option<Uuid>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE staff SET member_id = $3 WHERE merchant_id = $1 AND staff_id = $2",
        merchant,
        staff,
        member,
    );
    query("link_staff", update.execute(conn)).await?;
    Ok(())
}

/// Merchants that nobody was told of, as `(merchant, owner)`; from now on they are told of.
pub(crate) async fn mark_untold(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    let update = sqlx::query!(
        "UPDATE merchant SET told_at = $1 WHERE merchant_id IN (
             SELECT merchant_id FROM merchant WHERE told_at IS NULL
             ORDER BY merchant_id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
         RETURNING merchant_id, owner_id",
        now,
        limit,
    );
    let rows = query("mark_untold", update.fetch_all(conn)).await?;
    Ok(rows.into_iter().map(|row| (row.merchant_id, row.owner_id)).collect())
}
