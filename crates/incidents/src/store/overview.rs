use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Impact, Severity, Watched};

/// Returns the impacts of verified incidents on services since a time.
pub(crate) async fn impacts(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Impact>> {
    let select = sqlx::query_as!(
        Impact,
        r#"SELECT s.service, i.severity AS "severity: Severity", i.opened_at AS "from", i.resolved_at AS until
         FROM incident i JOIN incident_service s USING (incident_id)
         WHERE i.verified AND (i.resolved_at IS NULL OR i.opened_at >= $1)"#,
        since,
    );
    postgres::query("overview_afflictions", select.fetch_all(conn)).await
}

/// Returns the id of the last event, which changes after every event.
pub(crate) async fn last_event(conn: &mut PgConnection) -> sqlx::Result<Option<Uuid>> {
    let select =
        sqlx::query_scalar!("SELECT event_id FROM incident_event ORDER BY event_id DESC LIMIT 1");
    postgres::query("overview_last_event", select.fetch_optional(conn)).await
}

/// Returns the times since a time in which the alerting chain was alive.
pub(crate) async fn watched(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Watched>> {
    let select = sqlx::query_as!(
        Watched,
        r#"SELECT day, from_at AS "from", until_at AS "until" FROM watched_day WHERE until_at >= $1 ORDER BY day"#,
        since,
    );
    postgres::query("overview_watched", select.fetch_all(conn)).await
}
