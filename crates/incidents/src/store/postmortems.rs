//! Postmortems, and the data of statistics.

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Sample, Severity};
use crate::view::Postmortem;

pub(crate) async fn find(
    conn: &mut PgConnection,
    incident: Uuid,
) -> sqlx::Result<Option<Postmortem>> {
    let select = sqlx::query_as!(
        Postmortem,
        r#"SELECT body, version, edited_at AS "edited_at?", edited_by AS "edited_by?"
           FROM postmortem WHERE incident_id = $1"#,
        incident,
    );
    postgres::query("postmortem_find", select.fetch_optional(conn)).await
}

/// Stores an edit of version `was`. Returns false when that is not the current version.
pub(crate) async fn write(
    conn: &mut PgConnection,
    incident: Uuid,
    body: &str,
    was: i32,
    actor: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let upsert = sqlx::query!(
        "INSERT INTO postmortem AS p (incident_id, body, version, edited_at, edited_by)
         SELECT $1, $2, $3::integer + 1, $5, $4
         WHERE $3 = 0 OR EXISTS (SELECT FROM postmortem WHERE incident_id = $1)
         ON CONFLICT ON CONSTRAINT postmortem_pk
         DO UPDATE SET body = EXCLUDED.body, version = EXCLUDED.version,
                       edited_at = EXCLUDED.edited_at, edited_by = EXCLUDED.edited_by
         WHERE p.version = $3",
        incident,
        body,
        was,
        actor,
        now,
    );
    Ok(postgres::query("postmortem_write", upsert.execute(conn)).await?.rows_affected() == 1)
}

/// Returns the verified incidents that opened in the period, without those that were merged into others.
pub(crate) async fn samples(
    conn: &mut PgConnection,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Vec<Sample>> {
    let select = sqlx::query_as!(
        Sample,
        r#"SELECT severity AS "severity: Severity", service, cause, title, started_at AS started, opened_at AS opened,
                  acknowledged_at AS acknowledged, resolved_at AS resolved,
                  (response_breached_at IS NOT NULL OR resolution_breached_at IS NOT NULL) AS "breached!"
           FROM incident
           WHERE verified AND opened_at >= $1 AND opened_at < $2 AND merged_into IS NULL
           ORDER BY incident_id LIMIT 20000"#,
        from,
        until,
    );
    postgres::query("statistics_samples", select.fetch_all(conn)).await
}

/// Returns the number of earlier incidents of the same cause.
pub(crate) async fn repeats(
    conn: &mut PgConnection,
    incident: Uuid,
    since: DateTime<Utc>,
) -> sqlx::Result<i64> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM incident i JOIN incident this ON this.incident_id = $1
           WHERE i.cause = this.cause AND i.incident_id < this.incident_id AND i.opened_at >= $2
             AND i.merged_into IS NULL"#,
        incident,
        since,
    );
    postgres::query("incident_repeats", count.fetch_one(conn)).await
}
