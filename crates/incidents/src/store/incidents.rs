use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{LockedIncident, NewIncident, Number, Reclassification, Severity, Status};
use crate::view::Incident;

/// An incident that was resolved because all its alerts have ended.
pub(crate) struct Resolved {
    pub(crate) id: Uuid,
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    pub(crate) verified: bool,
    pub(crate) service: String,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) resolved_at: DateTime<Utc>,
}

/// Returns the last number of the year and locks it: until the end of the transaction no other opens incidents.
pub(crate) async fn last_number(conn: &mut PgConnection, year: i32) -> sqlx::Result<Number> {
    let upsert = sqlx::query_scalar!(
        "INSERT INTO incident_counter AS c (year, last) VALUES ($1, 0)
         ON CONFLICT ON CONSTRAINT incident_counter_pk DO UPDATE SET last = c.last
         RETURNING last",
        year,
    );
    let nth = postgres::query("incident_counter", upsert.fetch_one(conn)).await?;
    Ok(Number { year, nth })
}

/// Opens incidents, with the numbers that follow the last one.
pub(crate) async fn open(conn: &mut PgConnection, new: &[NewIncident]) -> sqlx::Result<()> {
    let Some(last) = new.last() else { return Ok(()) };
    let count = sqlx::query!(
        "UPDATE incident_counter SET last = $2 WHERE year = $1",
        last.number.year,
        last.number.nth,
    );
    postgres::query("incident_count", count.execute(&mut *conn)).await?;
    let insert = sqlx::query!(
        "INSERT INTO incident (incident_id, number, cause, title, severity, classification_uncertain, rule,
                               status, service, incomplete, started_at, opened_at, response_due,
                               resolution_due, verified)
         SELECT n.incident_id, n.number, n.cause, n.title, n.severity, n.uncertain, n.rule,
                'investigating', n.service, n.incomplete, n.started_at, n.opened_at, n.response_due,
                n.resolution_due, n.verified
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::text[],
                     $8::text[], $9::boolean[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
                     $13::timestamptz[], $14::boolean[])
              AS n (incident_id, number, cause, title, severity, uncertain, rule, service, incomplete,
                    started_at, opened_at, response_due, resolution_due, verified)",
        &new.iter().map(|n| n.id).collect::<Vec<_>>(),
        &new.iter().map(|n| n.number.to_string()).collect::<Vec<_>>(),
        &new.iter().map(|n| n.cause.clone()).collect::<Vec<_>>(),
        &new.iter().map(|n| n.title.clone()).collect::<Vec<_>>(),
        &new.iter().map(|n| n.severity.as_str().to_owned()).collect::<Vec<_>>(),
        &new.iter().map(|n| n.uncertain).collect::<Vec<_>>(),
        &new.iter().map(|n| n.rule.clone()).collect::<Vec<_>>(),
        &new.iter().map(|n| n.service.clone()).collect::<Vec<_>>(),
        &new.iter().map(|n| n.incomplete).collect::<Vec<_>>(),
        &new.iter().map(|n| n.started_at).collect::<Vec<_>>(),
        &new.iter().map(|n| n.opened_at).collect::<Vec<_>>(),
        &new.iter().map(|n| n.opened_at + n.target.response).collect::<Vec<_>>(),
        &new.iter().map(|n| n.opened_at + n.target.resolution).collect::<Vec<_>>(),
        &new.iter().map(|n| n.verified).collect::<Vec<_>>(),
    );
    postgres::query("incident_open", insert.execute(conn)).await?;
    Ok(())
}

/// Locks the open incidents of these causes.
pub(crate) async fn lock_open(
    conn: &mut PgConnection,
    causes: &[String],
) -> sqlx::Result<Vec<LockedIncident>> {
    let select = sqlx::query_as!(
        LockedIncident,
        r#"SELECT incident_id AS id, number, cause, title, status AS "status: Status", severity AS "severity: Severity",
                  verified, classified_by_hand AS by_hand, opened_at, acknowledged_at
           FROM incident WHERE cause = ANY($1) AND resolved_at IS NULL
           ORDER BY incident_id FOR NO KEY UPDATE"#,
        causes,
    );
    postgres::query("incident_lock_burning", select.fetch_all(conn)).await
}

/// Locks incidents, always in the same order.
pub(crate) async fn lock_all(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<Vec<LockedIncident>> {
    let select = sqlx::query_as!(
        LockedIncident,
        r#"SELECT incident_id AS id, number, cause, title, status AS "status: Status", severity AS "severity: Severity",
                  verified, classified_by_hand AS by_hand, opened_at, acknowledged_at
           FROM incident WHERE incident_id = ANY($1)
           ORDER BY incident_id FOR NO KEY UPDATE"#,
        ids,
    );
    postgres::query("incident_lock", select.fetch_all(conn)).await
}

/// Locks an incident.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    id: Uuid,
) -> sqlx::Result<Option<LockedIncident>> {
    Ok(lock_all(conn, &[id]).await?.pop())
}

/// Resolves those of the open incidents whose alerts have all ended.
pub(crate) async fn resolve_ended(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<Vec<Resolved>> {
    let update = sqlx::query_as!(
        Resolved,
        r#"UPDATE incident SET status = 'resolved',
                resolved_at = GREATEST(started_at, (SELECT max(ends_at) FROM alert
                                                    WHERE alert.incident_id = incident.incident_id))
         WHERE incident_id = ANY($1) AND resolved_at IS NULL
           AND NOT EXISTS (SELECT FROM alert
                           WHERE alert.incident_id = incident.incident_id AND alert.ends_at IS NULL)
         RETURNING incident_id AS id, number, title, severity AS "severity: Severity", verified, service, opened_at,
                   resolved_at AS "resolved_at!""#,
        ids,
    );
    postgres::query("incident_resolve", update.fetch_all(conn)).await
}

pub(crate) async fn set_status(
    conn: &mut PgConnection,
    id: Uuid,
    status: Status,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE incident SET status = $2,
                resolved_at = CASE WHEN $3 THEN NULL ELSE COALESCE(resolved_at, GREATEST($4, started_at)) END
         WHERE incident_id = $1",
        id,
        status.as_str(),
        status.is_open(),
        now,
    );
    postgres::query("incident_status", update.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn set_resolution(
    conn: &mut PgConnection,
    id: Uuid,
    text: &str,
) -> sqlx::Result<()> {
    let update =
        sqlx::query!("UPDATE incident SET resolution = $2 WHERE incident_id = $1", id, text);
    postgres::query("incident_resolution", update.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn acknowledge(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE incident SET acknowledged_at = COALESCE(acknowledged_at, $2) WHERE incident_id = $1",
        id,
        now,
    );
    postgres::query("incident_acknowledge", update.execute(conn)).await?;
    Ok(())
}

/// Changes an incident's severity and records the change.
pub(crate) async fn reclassify(
    conn: &mut PgConnection,
    id: Uuid,
    change: &Reclassification,
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE incident SET severity = $2, rule = $3, classified_by_hand = $4,
                classification_uncertain = classification_uncertain AND NOT $4,
                verified = verified OR $4,
                response_due = $5, resolution_due = $6
         WHERE incident_id = $1",
        change.incident,
        change.severity.as_str(),
        change.rule,
        change.by.is_some(),
        change.response_due,
        change.resolution_due,
    );
    postgres::query("incident_classify", update.execute(&mut *conn)).await?;
    let insert = sqlx::query!(
        "INSERT INTO incident_severity (change_id, incident_id, changed_at, was, severity, actor, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        id,
        change.incident,
        now,
        change.was.as_str(),
        change.severity.as_str(),
        change.by,
        change.reason,
    );
    postgres::query("severity_classified", insert.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn set_merged(conn: &mut PgConnection, id: Uuid, into: Uuid) -> sqlx::Result<()> {
    let update =
        sqlx::query!("UPDATE incident SET merged_into = $2 WHERE incident_id = $1", id, into);
    postgres::query("incident_merge", update.execute(conn)).await?;
    Ok(())
}

/// Merges incidents without firing alerts into others, for each pair. Returns the merged ones.
pub(crate) async fn merge_ended(
    conn: &mut PgConnection,
    pairs: &BTreeMap<Uuid, Uuid>,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Uuid>> {
    let (from, to): (Vec<_>, Vec<_>) = pairs.iter().map(|(from, to)| (*from, *to)).unzip();
    let update = sqlx::query_scalar!(
        "UPDATE incident SET status = 'resolved', resolved_at = GREATEST($3, started_at), merged_into = n.other
         FROM UNNEST($1::uuid[], $2::uuid[]) AS n (id, other)
         WHERE incident_id = n.id AND resolved_at IS NULL
           AND NOT EXISTS (SELECT FROM alert WHERE alert.incident_id = n.id AND alert.ends_at IS NULL)
         RETURNING incident_id",
        &from,
        &to,
        now,
    );
    postgres::query("incident_replace", update.fetch_all(conn)).await
}

pub(crate) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Incident>> {
    let select = sqlx::query_as!(
        Incident,
        r#"SELECT incident_id, number, title, severity AS "severity: Severity", verified, classification_uncertain, rule,
                  status AS "status: Status", service, incomplete, started_at, opened_at, acknowledged_at,
                  resolved_at, response_due, resolution_due, response_breached_at, resolution_breached_at,
                  merged_into, resolution
           FROM incident WHERE incident_id = $1"#,
        id,
    );
    postgres::query("incident_find", select.fetch_optional(conn)).await
}
