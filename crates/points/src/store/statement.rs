use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;

use crate::domain::AccountId;
use crate::view::Movements;

/// The points of an account before a period, and its movements in the period, both read at one moment.
pub(crate) async fn statement(
    conn: &mut PgConnection,
    account: AccountId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> sqlx::Result<(i64, Vec<Movements>)> {
    let select = sqlx::query!(
        r#"SELECT t.kind,
                  coalesce(sum(e.amount) FILTER (WHERE t.occurred_at < $2), 0)::bigint AS "before!",
                  count(*) FILTER (WHERE t.occurred_at >= $2) AS "entries!",
                  coalesce(sum(e.amount) FILTER (WHERE t.occurred_at >= $2 AND e.amount > 0), 0)::bigint
                      AS "credited!",
                  coalesce(sum(e.amount) FILTER (WHERE t.occurred_at >= $2 AND e.amount < 0), 0)::bigint
                      AS "debited!"
           FROM entry e JOIN transfer t USING (transfer_id)
           WHERE e.account_id = $1 AND t.occurred_at < $3
           GROUP BY t.kind ORDER BY t.kind"#,
        account.0,
        from,
        to,
    );
    let rows = postgres::query("entry_statement", select.fetch_all(conn)).await?;
    let opening = rows.iter().map(|row| row.before).sum();
    let movements = rows.into_iter().filter(|row| row.entries > 0).map(|row| Movements {
        kind: row.kind,
        entries: row.entries,
        credited: row.credited,
        debited: row.debited,
    });
    Ok((opening, movements.collect()))
}
