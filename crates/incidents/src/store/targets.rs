//! Missed targets, and reminders of unacknowledged incidents.

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Missed, Severity};

/// A target that was missed.
pub(crate) struct Breach {
    pub(crate) id: Uuid,
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) service: String,
    pub(crate) missed: Missed,
}

/// An unacknowledged P0.
pub(crate) struct Unanswered {
    pub(crate) id: Uuid,
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) service: String,
    pub(crate) opened_at: DateTime<Utc>,
    /// The time of the last message.
    pub(crate) told_at: DateTime<Utc>,
    pub(crate) reminders: i32,
}

/// Marks the incidents that miss a target. Each is returned once for each target.
pub(crate) async fn mark_breaches(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Breach>> {
    let response = sqlx::query_as!(
        Breach,
        r#"UPDATE incident SET response_breached_at = $1
           WHERE verified AND resolved_at IS NULL AND acknowledged_at IS NULL
             AND response_breached_at IS NULL AND response_due <= $1
           RETURNING incident_id AS id, number, title, severity AS "severity: Severity", service,
                     'response' AS "missed!: Missed""#,
        now,
    );
    let mut late =
        postgres::query("incident_late_response", response.fetch_all(&mut *conn)).await?;
    let resolution = sqlx::query_as!(
        Breach,
        r#"UPDATE incident SET resolution_breached_at = $1
           WHERE verified AND resolved_at IS NULL AND resolution_breached_at IS NULL
             AND resolution_due <= $1
           RETURNING incident_id AS id, number, title, severity AS "severity: Severity", service,
                     'resolution' AS "missed!: Missed""#,
        now,
    );
    late.extend(postgres::query("incident_late_resolution", resolution.fetch_all(conn)).await?);
    Ok(late)
}

/// Locks the open P0s that are unacknowledged.
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
