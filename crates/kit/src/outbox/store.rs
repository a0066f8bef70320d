//! The SQL of the outbox.

use std::time::Duration;

use chrono::{DateTime, Utc};
use observability::Carrier;
use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::Event;
use crate::postgres::query;

/// Maximum rows that one statement of [`prune`] deletes.
const PRUNE_BATCH: i64 = 1000;

/// Maximum events per poll.
const BATCH: i64 = 200;

/// An event that may be delivered now, with its number of counted failures.
#[derive(Debug)]
pub(super) struct Due {
    pub(super) position: i64,
    pub(super) event: Event,
    pub(super) carrier: Carrier,
    pub(super) attempts: i32,
    /// True when no running transaction can publish an earlier event. A transaction id beyond this cluster's
    /// own came from another cluster, with a dump or by logical replication.
    pub(super) settled: bool,
    /// The time since publication.
    pub(super) age: Duration,
}

pub(super) struct Backlog {
    pub(super) pending: i64,
    pub(super) oldest_age_seconds: i64,
    pub(super) parked: i64,
}

pub(super) async fn insert(tx: &mut PgConnection, event: &Event) -> sqlx::Result<()> {
    let carrier = serde_json::to_value(Carrier::current()).unwrap_or_default();
    query(
        "outbox_publish",
        sqlx::query!(
            "INSERT INTO outbox_event (id, aggregate, kind, payload, carrier, occurred_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            event.id,
            event.aggregate,
            event.kind,
            event.payload,
            carrier,
            event.occurred_at
        )
        .execute(tx),
    )
    .await?;
    Ok(())
}

/// The two kinds of poll. They are separate, so that failed events do not hold up new ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Events never tried, in order, of aggregates without a failed event. Each aggregate's events have no
    /// gap.
    New,
    /// Failed events whose pause is over, longest waiting first. One per aggregate, because it holds up the
    /// others.
    Failed,
}

/// Reads the first due events of this kind, of aggregates that are not in `busy`.
pub(super) async fn due(
    leader: &mut PgConnection,
    turn: Turn,
    busy: &[String],
) -> sqlx::Result<Vec<Due>> {
    match turn {
        Turn::New => due_new(leader, busy).await,
        Turn::Failed => due_failed(leader, busy).await,
    }
}

async fn due_new(leader: &mut PgConnection, busy: &[String]) -> sqlx::Result<Vec<Due>> {
    let rows = query(
        "outbox_due",
        sqlx::query_as!(
            Row,
            r#"SELECT position, id, aggregate, kind, payload, carrier, occurred_at, attempts,
                      extract(epoch FROM now() - created_at)::bigint AS "age_seconds!",
                      xid < pg_snapshot_xmin(pg_current_snapshot())
                          OR xid >= pg_snapshot_xmax(pg_current_snapshot()) AS "settled!"
               FROM outbox_event e
               WHERE delivered_at IS NULL AND attempts = 0 AND next_attempt_at <= now()
                 AND aggregate <> ALL ($1)
                 AND NOT EXISTS (
                     SELECT FROM outbox_event earlier
                     WHERE earlier.aggregate = e.aggregate AND earlier.position < e.position
                       AND earlier.delivered_at IS NULL AND earlier.attempts > 0)
               ORDER BY position
               LIMIT $2"#,
            busy,
            BATCH
        )
        .fetch_all(leader),
    )
    .await?;
    Ok(rows.into_iter().map(Due::from).collect())
}

async fn due_failed(leader: &mut PgConnection, busy: &[String]) -> sqlx::Result<Vec<Due>> {
    let rows = query(
        "outbox_due_failed",
        sqlx::query_as!(
            Row,
            r#"SELECT position, id, aggregate, kind, payload, carrier, occurred_at, attempts,
                      extract(epoch FROM now() - created_at)::bigint AS "age_seconds!",
                      true AS "settled!"
               FROM outbox_event e
               WHERE delivered_at IS NULL AND attempts > 0 AND parked_at IS NULL
                 AND next_attempt_at <= now() AND aggregate <> ALL ($1)
                 AND NOT EXISTS (
                     SELECT FROM outbox_event earlier
                     WHERE earlier.aggregate = e.aggregate AND earlier.position < e.position
                       AND earlier.delivered_at IS NULL AND earlier.attempts > 0)
               ORDER BY next_attempt_at
               LIMIT $2"#,
            busy,
            BATCH
        )
        .fetch_all(leader),
    )
    .await?;
    Ok(rows.into_iter().map(Due::from).collect())
}

struct Row {
    position: i64,
    id: Uuid,
    aggregate: String,
    kind: String,
    payload: serde_json::Value,
    carrier: serde_json::Value,
    occurred_at: DateTime<Utc>,
    attempts: i32,
    age_seconds: i64,
    settled: bool,
}

impl From<Row> for Due {
    fn from(row: Row) -> Self {
        Self {
            position: row.position,
            event: Event {
                id: row.id,
                aggregate: row.aggregate,
                kind: row.kind,
                payload: row.payload,
                occurred_at: row.occurred_at,
            },
            carrier: serde_json::from_value(row.carrier).unwrap_or_default(),
            attempts: row.attempts,
            settled: row.settled,
            age: Duration::from_secs(row.age_seconds.try_into().unwrap_or(0)),
        }
    }
}

pub(super) async fn delivered(db: &PgPool, position: i64) -> sqlx::Result<()> {
    query(
        "outbox_delivered",
        sqlx::query!(
            "UPDATE outbox_event SET delivered_at = now(), attempts = attempts + 1, last_error = NULL
             WHERE position = $1",
            position
        )
        .execute(db),
    )
    .await?;
    Ok(())
}

/// Records a failure: `attempts` so far, the reason, and the pause before the next attempt.
pub(super) async fn failed(
    db: &PgPool,
    position: i64,
    attempts: i32,
    why: &str,
    pause: Duration,
) -> sqlx::Result<()> {
    query(
        "outbox_failed",
        sqlx::query!(
            "UPDATE outbox_event
             SET attempts = $2, last_error = $3, next_attempt_at = clock_timestamp() + $4
             WHERE position = $1",
            position,
            attempts,
            why,
            interval(pause)
        )
        .execute(db),
    )
    .await?;
    Ok(())
}

/// Parks an event until an operator has looked at it. Its aggregate waits.
pub(super) async fn parked(
    db: &PgPool,
    position: i64,
    attempts: i32,
    why: &str,
) -> sqlx::Result<()> {
    query(
        "outbox_parked",
        sqlx::query!(
            "UPDATE outbox_event SET attempts = $2, last_error = $3, parked_at = now()
             WHERE position = $1",
            position,
            attempts,
            why
        )
        .execute(db),
    )
    .await?;
    Ok(())
}

pub(super) async fn backlog(db: &PgPool) -> sqlx::Result<Backlog> {
    query(
        "outbox_backlog",
        sqlx::query_as!(
            Backlog,
            r#"SELECT count(*) FILTER (WHERE parked_at IS NULL) AS "pending!",
                      coalesce(extract(epoch FROM clock_timestamp()
                          - min(created_at) FILTER (WHERE parked_at IS NULL)), 0)::bigint
                          AS "oldest_age_seconds!",
                      count(parked_at) AS "parked!"
               FROM outbox_event WHERE delivered_at IS NULL"#
        )
        .fetch_one(db),
    )
    .await
}

/// Deletes events delivered more than 72 hours ago.
pub async fn prune(db: &PgPool) -> sqlx::Result<u64> {
    let mut pruned = 0;
    loop {
        let batch = query(
            "outbox_prune",
            sqlx::query!(
                "DELETE FROM outbox_event WHERE position = ANY (ARRAY(
                     SELECT position FROM outbox_event
                     WHERE delivered_at < now() - interval '72 hours' LIMIT $1))",
                PRUNE_BATCH
            )
            .execute(db),
        )
        .await?
        .rows_affected();
        pruned += batch;
        if batch == 0 {
            return Ok(pruned);
        }
    }
}

fn interval(pause: Duration) -> PgInterval {
    let microseconds = i64::try_from(pause.as_micros()).unwrap_or(i64::MAX);
    PgInterval { months: 0, days: 0, microseconds }
}
