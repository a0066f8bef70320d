//! What is late, and what nobody has answered.

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::Unanswered;

/// A target that was missed.
pub(crate) struct Breach {
    pub(crate) id: Uuid,
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) severity: String,
    pub(crate) service: String,
    /// Nobody responded; else it is not over.
    pub(crate) response: bool,
}

/// Marks what nobody responded to, or did not end, in time. Each is returned once.
pub(crate) async fn mark_breaches(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Breach>> {
    let response = sqlx::query_as!(
        Breach,
        r#"UPDATE incident SET response_breached_at = $1
           WHERE verified AND resolved_at IS NULL AND acknowledged_at IS NULL
             AND response_breached_at IS NULL AND response_due <= $1
           RETURNING incident_id AS id, number, title, severity, service, true AS "response!""#,
        now,
    );
    let mut late =
        postgres::query("incident_late_response", response.fetch_all(&mut *conn)).await?;
    let resolution = sqlx::query_as!(
        Breach,
        r#"UPDATE incident SET resolution_breached_at = $1
           WHERE verified AND resolved_at IS NULL AND resolution_breached_at IS NULL
             AND resolution_due <= $1
           RETURNING incident_id AS id, number, title, severity, service, false AS "response!""#,
        now,
    );
    late.extend(postgres::query("incident_late_resolution", resolution.fetch_all(conn)).await?);
    Ok(late)
}

/// Each P0 that burns and that nobody has acknowledged, locked.
pub(crate) async fn unanswered(conn: &mut PgConnection) -> sqlx::Result<Vec<Unanswered>> {
    let select = sqlx::query_as!(
        Unanswered,
        r#"SELECT incident_id AS id, number, title, service, opened_at,
                  COALESCE(reminded_at, opened_at) AS "told_at!", reminders
           FROM incident
           WHERE verified AND resolved_at IS NULL AND acknowledged_at IS NULL AND severity = 'P0'
           ORDER BY incident_id FOR NO KEY UPDATE"#,
    );
    postgres::query("incident_unanswered", select.fetch_all(conn)).await
}

pub(crate) async fn reminded(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE incident SET reminded_at = $2, reminders = reminders + 1 WHERE incident_id = $1",
        id,
        now,
    );
    postgres::query("incident_reminded", update.execute(conn)).await?;
    Ok(())
}
