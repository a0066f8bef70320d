//! Postmortems, actions, and what statistics are made from.

use chrono::{DateTime, NaiveDate, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::{ActionItem, Due, NewAction, Postmortem};
use crate::domain::Sample;

pub(crate) async fn postmortem(
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

/// False when it is not at the version before any more, or never was.
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

pub(crate) async fn add_action(
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

/// None when there is no such action, false when it was done before.
pub(crate) async fn finish_action(
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

/// Actions, those due first; of one incident, or of all; the open ones, or all.
pub(crate) async fn actions(
    conn: &mut PgConnection,
    incident: Option<Uuid>,
    open_only: bool,
) -> sqlx::Result<Vec<ActionItem>> {
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

/// Open actions due within a week, with what people have been reminded of.
pub(crate) async fn due(conn: &mut PgConnection, by: NaiveDate) -> sqlx::Result<Vec<Due>> {
    let select = sqlx::query_as!(
        Due,
        r#"SELECT a.action_id, a.incident_id, i.number, i.severity, i.service, a.text, a.assignee, a.due,
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

/// The incidents that opened in the period, without those that were merged into others or that nobody vouches for.
pub(crate) async fn samples(
    conn: &mut PgConnection,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> sqlx::Result<Vec<Sample>> {
    let select = sqlx::query_as!(
        Sample,
        r#"SELECT severity, service, cause, title, started_at AS started, opened_at AS opened,
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

/// How often this incident's cause burned before, since then.
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
