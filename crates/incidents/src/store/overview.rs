use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Affliction, Severity, Watched};

/// What affected which service since then, as far as it is believed.
pub(crate) async fn afflictions(
    conn: &mut PgConnection,
    since: DateTime<Utc>,
) -> sqlx::Result<Vec<Affliction>> {
    let select = sqlx::query!(
        "SELECT s.service, i.severity, i.opened_at, i.resolved_at
         FROM incident i JOIN incident_service s USING (incident_id)
         WHERE i.verified AND (i.resolved_at IS NULL OR i.opened_at >= $1)",
        since,
    );
    let rows = postgres::query("overview_afflictions", select.fetch_all(conn)).await?;
    let affliction = |service, severity: String, from, until| Affliction {
        service,
        severity: severity.parse().unwrap_or(Severity::P0), // a CHECK knows them all
        from,
        until,
    };
    Ok(rows
        .into_iter()
        .map(|row| affliction(row.service, row.severity, row.opened_at, row.resolved_at))
        .collect())
}

/// Changes whenever anything happened.
pub(crate) async fn last_event(conn: &mut PgConnection) -> sqlx::Result<Option<Uuid>> {
    let select =
        sqlx::query_scalar!("SELECT event_id FROM incident_event ORDER BY event_id DESC LIMIT 1");
    postgres::query("overview_last_event", select.fetch_optional(conn)).await
}

/// When the alerting chain was alive since then.
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
