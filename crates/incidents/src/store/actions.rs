//! Actions and their reminders.

use chrono::{DateTime, NaiveDate, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{NewAction, Severity};
use crate::view::{ActionItem, Actions};

/// An open action that is due within a week, or overdue.
pub(crate) struct Due {
    pub(crate) action_id: Uuid,
    pub(crate) incident_id: Uuid,
    pub(crate) number: String,
    pub(crate) severity: Severity,
    pub(crate) service: String,
    pub(crate) text: String,
    pub(crate) assignee: String,
    pub(crate) due: NaiveDate,
    pub(crate) created_at: DateTime<Utc>,
    /// The reminders that were sent.
    pub(crate) reminded: Vec<String>,
}

pub(crate) async fn add(
    conn: &mut PgConnection,
    id: Uuid,
    incident: Uuid,
    action: &NewAction,
    actor: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO action_item (action_id, incident_id, text, priority, assignee, due, created_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        id,
        incident,
        action.text.as_str(),
        action.priority.as_str(),
        action.assignee.as_str(),
        action.due,
        now,
        actor,
    );
    postgres::query("action_add", insert.execute(conn)).await?;
    Ok(())
}

/// Marks an action as done. Returns its text, and false when it was done before; `None` when it is not found.
pub(crate) async fn finish(
    conn: &mut PgConnection,
    incident: Uuid,
    id: Uuid,
    actor: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<Option<(String, bool)>> {
    let update = sqlx::query!(
        r#"WITH was AS (SELECT action_id, text, done_at FROM action_item
                        WHERE action_id = $1 AND incident_id = $2 FOR NO KEY UPDATE),
                done AS (UPDATE action_item a SET done_at = $3, done_by = $4 FROM was
                         WHERE a.action_id = was.action_id AND was.done_at IS NULL)
           SELECT text, done_at IS NULL AS "now!" FROM was"#,
        id,
        incident,
        now,
        actor,
    );
    let row = postgres::query("action_finish", update.fetch_optional(conn)).await?;
    Ok(row.map(|row| (row.text, row.now)))
}

/// Lists actions by due date.
pub(crate) async fn list(
    conn: &mut PgConnection,
    actions: Actions,
) -> sqlx::Result<Vec<ActionItem>> {
    let (incident, open_only) = match actions {
        Actions::All => (None, false),
        Actions::Open => (None, true),
        Actions::Of(incident) => (Some(incident), false),
    };
    let select = sqlx::query_as!(
        ActionItem,
        "SELECT a.action_id, a.incident_id, i.number, a.text, a.priority, a.assignee, a.due, a.created_at,
                a.done_at
         FROM action_item a JOIN incident i USING (incident_id)
         WHERE ($1::uuid IS NULL OR a.incident_id = $1) AND (NOT $2 OR a.done_at IS NULL)
         ORDER BY a.done_at IS NOT NULL, a.due, a.action_id LIMIT 500",
        incident,
        open_only,
    );
    postgres::query("action_list", select.fetch_all(conn)).await
}

/// Locks the open actions that are due by a day, with their reminders.
pub(crate) async fn due(conn: &mut PgConnection, by: NaiveDate) -> sqlx::Result<Vec<Due>> {
    let select = sqlx::query_as!(
        Due,
        r#"SELECT a.action_id, a.incident_id, i.number, i.severity AS "severity: Severity", i.service, a.text, a.assignee, a.due,
                  a.created_at,
                  ARRAY(SELECT stage FROM action_reminder r WHERE r.action_id = a.action_id) AS "reminded!"
           FROM action_item a JOIN incident i USING (incident_id)
           WHERE a.done_at IS NULL AND a.due <= $1
           ORDER BY a.due, a.action_id LIMIT 200 FOR NO KEY UPDATE OF a"#,
        by,
    );
    postgres::query("action_due", select.fetch_all(conn)).await
}

pub(crate) async fn reminded(
    conn: &mut PgConnection,
    action: Uuid,
    stage: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO action_reminder (action_id, stage, sent_at) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT action_reminder_pk DO NOTHING",
        action,
        stage,
        now,
    );
    postgres::query("action_reminded", insert.execute(conn)).await?;
    Ok(())
}
