//! Working hours and closures.

use chrono::{DateTime, Utc};
use kit::postgres::query;
use sqlx::PgConnection;
use uuid::Uuid;

use super::decode;
use crate::domain::{Shift, WallTime, Week};
use crate::view::{Closure, Place};

/// Returns the working hours of a staff member; `None` when the merchant has no such person.
pub(crate) async fn week_of_staff(
    conn: &mut PgConnection,
    merchant: Uuid,
    staff: Uuid,
) -> sqlx::Result<Option<Week>> {
    let select = sqlx::query!(
        r#"SELECT weekday AS "weekday?", opens_minute AS "opens?", closes_minute AS "closes?"
           FROM staff LEFT JOIN working_hours USING (merchant_id, staff_id)
           WHERE merchant_id = $1 AND staff_id = $2"#,
        merchant,
        staff,
    );
    let rows = query("week_of_staff", select.fetch_all(conn)).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let shifts = rows.iter().filter_map(|row| Some((row.weekday?, row.opens?, row.closes?)));
    let shifts = shifts.map(|(day, opens, closes)| shift(day, opens, closes));
    let week = Week::try_new(shifts.collect::<sqlx::Result<_>>()?);
    week.map(Some).map_err(decode)
}

pub(super) fn shift(weekday: i16, opens: i32, closes: i32) -> sqlx::Result<Shift> {
    let wall = |minute| WallTime::from_minute(minute).map_err(decode);
    let weekday = u8::try_from(weekday).map_err(decode)?;
    Ok(Shift { weekday, opens: wall(opens)?, closes: wall(closes)? })
}

pub(crate) async fn insert_closure(
    conn: &mut PgConnection,
    closure: &Closure,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO closure (merchant_id, closure_id, staff_id, during, created_at)
         VALUES ($1, $2, $3, tstzrange($4, $5, '[)'), $6)",
        closure.merchant_id,
        closure.closure_id,
        closure.staff_id,
        closure.starts_at,
        closure.ends_at,
        now,
    );
    query("insert_closure", insert.execute(conn)).await?;
    Ok(())
}

/// Returns the closures of an owner's merchant that end after `now`, by start, after this place.
pub(crate) async fn list_closures(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: Uuid,
    now: DateTime<Utc>,
    after: Option<Place>,
    limit: i64,
) -> sqlx::Result<Vec<Closure>> {
    let (start, id) = after.unzip();
    let select = sqlx::query_as!(
        Closure,
        r#"SELECT closure_id, merchant_id, staff_id, lower(during) AS "starts_at!",
                  upper(during) AS "ends_at!"
           FROM closure JOIN merchant USING (merchant_id)
           WHERE merchant_id = $1 AND owner_id = $2 AND upper(during) > $3
             AND ($4::timestamptz IS NULL OR (lower(during), closure_id) > ($4, $5))
           ORDER BY lower(during), closure_id LIMIT $6"#,
        merchant,
        owner,
        now,
        start,
        id,
        limit,
    );
    query("list_closures", select.fetch_all(conn)).await
}

/// Deletes a closure. Returns `false` when the owner has no such closure.
pub(crate) async fn delete_closure(
    conn: &mut PgConnection,
    owner: Uuid,
    merchant: Uuid,
    closure: Uuid,
) -> sqlx::Result<bool> {
    let delete = sqlx::query!(
        "DELETE FROM closure USING merchant
         WHERE closure.merchant_id = merchant.merchant_id AND owner_id = $2
           AND closure.merchant_id = $1 AND closure_id = $3",
        merchant,
        owner,
        closure,
    );
    Ok(query("delete_closure", delete.execute(conn)).await?.rows_affected() == 1)
}
