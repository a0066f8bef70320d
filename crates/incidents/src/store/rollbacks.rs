//! Rollback runs and their steps.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Run, RunStatus, Step};
use crate::view::{RollbackView, StepView};

/// A run whose process has ended.
pub(crate) struct Lost {
    pub(crate) incident_id: Uuid,
    pub(crate) service: String,
}

/// The end of a step.
pub(crate) struct StepEnd<'a> {
    pub(crate) attempt: i32,
    pub(crate) step: Step,
    pub(crate) ok: bool,
    pub(crate) detail: &'a str,
    /// The target version, once it is known.
    pub(crate) target: Option<&'a str>,
}

pub(crate) async fn begin(
    conn: &mut PgConnection,
    run: &Run,
    approved_by: Option<Uuid>,
    executor: &str,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO rollback_run (run_id, incident_id, service, executor, approved_by, status, attempts,
                                   started_at, heard_at)
         VALUES ($1, $2, $3, $4, $5, 'running', 0, $6, $6)",
        run.id,
        run.incident,
        run.service,
        executor,
        approved_by,
        now,
    );
    postgres::query("rollback_begin", insert.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn is_running(conn: &mut PgConnection, service: &str) -> sqlx::Result<bool> {
    let select = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM rollback_run WHERE service = $1 AND status = 'running') AS "is!""#,
        service,
    );
    postgres::query("rollback_is_running", select.fetch_one(conn)).await
}

/// Records the begin of a step. Returns false when the run has been given up meanwhile.
pub(crate) async fn step_begins(
    conn: &mut PgConnection,
    run: Uuid,
    attempt: i32,
    step: Step,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let update = sqlx::query!(
        "UPDATE rollback_run SET heard_at = $2, attempts = $3 WHERE run_id = $1 AND status = 'running'",
        run,
        now,
        attempt,
    );
    let running = postgres::query("rollback_heard", update.execute(&mut *conn)).await?;
    if running.rows_affected() == 0 {
        return Ok(false);
    }
    let insert = sqlx::query!(
        "INSERT INTO rollback_step (run_id, attempt, step, started_at, detail) VALUES ($1, $2, $3, $4, '')",
        run,
        attempt,
        step.as_str(),
        now,
    );
    postgres::query("rollback_step_begins", insert.execute(conn)).await?;
    Ok(true)
}

pub(crate) async fn step_ends(
    conn: &mut PgConnection,
    run: Uuid,
    end: &StepEnd<'_>,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE rollback_step SET ended_at = $4, ok = $5, detail = $6
         WHERE run_id = $1 AND attempt = $2 AND step = $3",
        run,
        end.attempt,
        end.step.as_str(),
        now,
        end.ok,
        end.detail,
    );
    postgres::query("rollback_step_ends", update.execute(&mut *conn)).await?;
    let heard = sqlx::query!(
        "UPDATE rollback_run SET heard_at = $2, target = COALESCE($3, target) WHERE run_id = $1",
        run,
        now,
        end.target,
    );
    postgres::query("rollback_heard", heard.execute(conn)).await?;
    Ok(())
}

/// Ends a run. Returns false when it has been given up meanwhile.
pub(crate) async fn end(
    conn: &mut PgConnection,
    run: Uuid,
    status: RunStatus,
    now: DateTime<Utc>,
) -> sqlx::Result<bool> {
    let update = sqlx::query!(
        "UPDATE rollback_run SET status = $2, ended_at = $3 WHERE run_id = $1 AND status = 'running'",
        run,
        status.as_str(),
        now,
    );
    Ok(postgres::query("rollback_end", update.execute(conn)).await?.rows_affected() == 1)
}

/// Gives up the runs whose process has been silent since a time. Each is returned once.
pub(crate) async fn give_up(
    conn: &mut PgConnection,
    silent_since: DateTime<Utc>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Lost>> {
    let update = sqlx::query_as!(
        Lost,
        "UPDATE rollback_run SET status = 'interrupted', ended_at = $2
         WHERE status = 'running' AND heard_at < $1
         RETURNING incident_id, service",
        silent_since,
        now,
    );
    postgres::query("rollback_give_up", update.fetch_all(conn)).await
}

/// Returns the runs of an incident with their steps, oldest first.
pub(crate) async fn of_incident(
    conn: &mut PgConnection,
    incident: Uuid,
) -> sqlx::Result<Vec<RollbackView>> {
    let runs = sqlx::query!(
        r#"SELECT run_id, service, executor, target, approved_by, status AS "status: RunStatus", attempts, started_at,
                  ended_at
           FROM rollback_run WHERE incident_id = $1 ORDER BY run_id"#,
        incident,
    );
    let runs = postgres::query("rollback_of_incident", runs.fetch_all(&mut *conn)).await?;
    if runs.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = runs.iter().map(|run| run.run_id).collect();
    let steps = sqlx::query!(
        "SELECT run_id, attempt, step, started_at, ended_at, ok, detail
         FROM rollback_step WHERE run_id = ANY($1) ORDER BY run_id, attempt, started_at",
        &ids,
    );
    let mut of_run: HashMap<Uuid, Vec<StepView>> = HashMap::new();
    for row in postgres::query("rollback_steps", steps.fetch_all(conn)).await? {
        of_run.entry(row.run_id).or_default().push(StepView {
            attempt: row.attempt,
            step: row.step,
            started_at: row.started_at,
            ended_at: row.ended_at,
            ok: row.ok,
            detail: row.detail,
        });
    }
    Ok(runs
        .into_iter()
        .map(|run| RollbackView {
            run_id: run.run_id,
            service: run.service,
            executor: run.executor,
            target: run.target,
            approved_by: run.approved_by,
            status: run.status,
            attempts: run.attempts,
            started_at: run.started_at,
            ended_at: run.ended_at,
            steps: of_run.remove(&run.run_id).unwrap_or_default(),
        })
        .collect())
}
