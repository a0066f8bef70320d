//! The owners and the staff of merchants.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

/// Locks an owner's merchant until the transaction ends. Returns `false` when the owner has no such merchant.
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

/// Returns the member that a staff member signs in as; the outer `None` means that the staff member does not exist.
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

/// Marks merchants whose owner was never announced, and returns them as `(merchant, owner)`.
pub(crate) async fn mark_announced(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    limit: i64,
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    let update = sqlx::query!(
        "UPDATE merchant SET told_at = $1 WHERE merchant_id IN (
             SELECT merchant_id FROM merchant WHERE told_at IS NULL AND owner_id IS NOT NULL
             ORDER BY merchant_id LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED)
         RETURNING merchant_id, owner_id",
        now,
        limit,
    );
    let rows = query("mark_announced", update.fetch_all(conn)).await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.merchant_id, row.owner_id?))).collect())
}

/// The ownership of a merchant.
pub(crate) struct Ownership {
    /// `None` when the merchant is closed.
    pub(crate) owner_id: Option<Uuid>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
}

/// Locks any merchant until the transaction ends.
pub(crate) async fn lock_any_merchant(
    conn: &mut PgConnection,
    merchant: Uuid,
) -> sqlx::Result<Option<Ownership>> {
    let select = sqlx::query_as!(
        Ownership,
        "SELECT owner_id, closed_at FROM merchant WHERE merchant_id = $1 FOR NO KEY UPDATE",
        merchant,
    );
    query("lock_any_merchant", select.fetch_optional(conn)).await
}

/// Closes a merchant, which has no owner afterwards.
pub(crate) async fn close_merchant(
    conn: &mut PgConnection,
    merchant: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE merchant SET former_owner = owner_id, owner_id = NULL, closed_at = $2,
                             told_at = COALESCE(told_at, $2)
         WHERE merchant_id = $1 AND owner_id IS NOT NULL",
        merchant,
        now,
    );
    query("close_merchant", update.execute(conn)).await?;
    Ok(())
}

/// Makes a member the owner of a merchant, and reopens it when it is closed.
pub(crate) async fn change_owner(
    conn: &mut PgConnection,
    merchant: Uuid,
    member: Uuid,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE merchant SET owner_id = $2, former_owner = NULL, closed_at = NULL
         WHERE merchant_id = $1",
        merchant,
        member,
    );
    query("change_owner", update.execute(conn)).await?;
    Ok(())
}

/// Unlinks all staff of a merchant from their members, and returns these members.
pub(crate) async fn unlink_all_staff(
    conn: &mut PgConnection,
    merchant: Uuid,
) -> sqlx::Result<Vec<Uuid>> {
    let update = sqlx::query_scalar!(
        r#"WITH linked AS (
               SELECT staff_id, member_id FROM staff
               WHERE merchant_id = $1 AND member_id IS NOT NULL FOR NO KEY UPDATE
           )
           UPDATE staff SET member_id = NULL FROM linked
           WHERE staff.merchant_id = $1 AND staff.staff_id = linked.staff_id
           RETURNING linked.member_id AS "member_id!""#,
        merchant,
    );
    query("unlink_all_staff", update.fetch_all(conn)).await
}

/// Returns bookings and holds ahead at closed merchants, after this one.
pub(crate) async fn bookings_of_closed(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    after: Option<Uuid>,
    limit: i64,
) -> sqlx::Result<Vec<Uuid>> {
    let select = sqlx::query_scalar!(
        "SELECT booking_id FROM booking JOIN merchant USING (merchant_id)
         WHERE owner_id IS NULL AND lower(during) > $1
           AND status NOT IN ('cancelled', 'no_show', 'expired') -- as booking_calendar says it
           AND (status = 'confirmed' OR (status = 'held' AND expires_at > now()))
           AND ($2::uuid IS NULL OR booking_id > $2)
         ORDER BY booking_id LIMIT $3",
        now,
        after,
        limit,
    );
    query("bookings_of_closed", select.fetch_all(conn)).await
}
