//! The SQL. Every function takes a connection, so that the caller owns the transaction.

mod list;

pub(crate) use list::list;

use chrono::{DateTime, Utc};
use kit::postgres;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::{AlertView, Incident};
use crate::domain::{Alert, IncidentId, Severity, Texts};

/// An alert that fires, and the incident it opens unless it was told before.
pub(crate) struct Opening {
    pub(crate) incident: IncidentId,
    pub(crate) alert: Alert,
}

/// Keeps a delivery as it came. The same bytes are kept once.
pub(crate) async fn keep(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
    payload: &[u8],
) -> sqlx::Result<()> {
    let insert = sqlx::query!(
        "INSERT INTO alert_delivery (delivery_id, received_at, payload) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT alert_delivery_once DO NOTHING",
        id,
        now,
        payload,
    );
    postgres::query("delivery_keep", insert.execute(conn)).await?;
    Ok(())
}

/// Stores the alerts that are new, and opens an incident for each. Returns the severities of those.
pub(crate) async fn open(
    conn: &mut PgConnection,
    openings: &[Opening],
    incomplete: bool,
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Severity>> {
    let new = insert_alerts(conn, openings).await?;
    let new: Vec<_> = openings.iter().filter(|o| new.contains(&o.incident.0)).collect();
    if new.is_empty() {
        return Ok(Vec::new());
    }

    let classes: Vec<_> = new.iter().map(|o| o.alert.classify()).collect();
    let insert = sqlx::query!(
        "INSERT INTO incident (incident_id, title, severity, classification_uncertain, status, service,
                               incomplete, started_at, opened_at)
         SELECT n.incident_id, n.title, n.severity, n.uncertain, 'open', n.service, $7, n.started_at, $8
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::timestamptz[])
              AS n (incident_id, title, severity, uncertain, service, started_at)",
        &new.iter().map(|o| o.incident.0).collect::<Vec<_>>(),
        &new.iter().map(|o| o.alert.title()).collect::<Vec<_>>(),
        &classes.iter().map(|c| c.severity.as_str().to_owned()).collect::<Vec<_>>(),
        &classes.iter().map(|c| c.uncertain).collect::<Vec<_>>(),
        &new.iter().map(|o| o.alert.service()).collect::<Vec<_>>(),
        &new.iter().map(|o| o.alert.starts_at).collect::<Vec<_>>(),
        incomplete,
        now,
    );
    postgres::query("incident_open", insert.execute(conn)).await?;
    Ok(classes.into_iter().map(|c| c.severity).collect())
}

/// The incidents of the alerts that were not known yet.
async fn insert_alerts(conn: &mut PgConnection, openings: &[Opening]) -> sqlx::Result<Vec<Uuid>> {
    let insert = sqlx::query_scalar!(
        "INSERT INTO alert (fingerprint, starts_at, incident_id, labels, annotations)
         SELECT n.fingerprint, n.starts_at, n.incident_id, n.labels, n.annotations
         FROM UNNEST($1::text[], $2::timestamptz[], $3::uuid[], $4::jsonb[], $5::jsonb[])
              AS n (fingerprint, starts_at, incident_id, labels, annotations)
         ON CONFLICT ON CONSTRAINT alert_once DO NOTHING
         RETURNING incident_id",
        &openings.iter().map(|o| o.alert.fingerprint.clone()).collect::<Vec<_>>(),
        &openings.iter().map(|o| o.alert.starts_at).collect::<Vec<_>>(),
        &openings.iter().map(|o| o.incident.0).collect::<Vec<_>>(),
        &openings.iter().map(|o| json(&o.alert.labels)).collect::<Vec<_>>(),
        &openings.iter().map(|o| json(&o.alert.annotations)).collect::<Vec<_>>(),
    );
    postgres::query("alert_insert", insert.fetch_all(conn)).await
}

/// Ends alerts, and resolves the incidents in which nothing fires any more. Returns how many of the
/// alerts are known, and how many of those ended now.
pub(crate) async fn resolve(conn: &mut PgConnection, ended: &[Alert]) -> sqlx::Result<(u64, u64)> {
    if ended.is_empty() {
        return Ok((0, 0));
    }
    // Locked in the order of the key, as every delivery does. An end before the start is clock skew.
    let select = sqlx::query!(
        r#"SELECT a.fingerprint, a.starts_at, GREATEST(s.ends_at, a.starts_at) AS "ends_at!",
                  a.ends_at IS NULL AS "firing!", a.incident_id
           FROM alert a
           JOIN UNNEST($1::text[], $2::timestamptz[], $3::timestamptz[])
                AS s (fingerprint, starts_at, ends_at) USING (fingerprint, starts_at)
           ORDER BY a.fingerprint, a.starts_at
           FOR NO KEY UPDATE OF a"#,
        &ended.iter().map(|a| a.fingerprint.clone()).collect::<Vec<_>>(),
        &ended.iter().map(|a| a.starts_at).collect::<Vec<_>>(),
        &ended.iter().filter_map(|a| a.ends_at).collect::<Vec<_>>(),
    );
    let known = postgres::query("alert_lock", select.fetch_all(&mut *conn)).await?;
    let firing: Vec<_> = known.iter().filter(|row| row.firing).collect();

    let update = sqlx::query!(
        "UPDATE alert SET ends_at = s.ends_at
         FROM UNNEST($1::text[], $2::timestamptz[], $3::timestamptz[])
              AS s (fingerprint, starts_at, ends_at)
         WHERE alert.fingerprint = s.fingerprint AND alert.starts_at = s.starts_at
           AND alert.ends_at IS NULL",
        &firing.iter().map(|row| row.fingerprint.clone()).collect::<Vec<_>>(),
        &firing.iter().map(|row| row.starts_at).collect::<Vec<_>>(),
        &firing.iter().map(|row| row.ends_at).collect::<Vec<_>>(),
    );
    let resolved = postgres::query("alert_end", update.execute(&mut *conn)).await?.rows_affected();

    let update = sqlx::query!(
        "UPDATE incident SET status = 'resolved',
                resolved_at = (SELECT max(ends_at) FROM alert WHERE alert.incident_id = incident.incident_id)
         WHERE incident_id = ANY($1) AND status = 'open'
           AND NOT EXISTS (SELECT FROM alert
                           WHERE alert.incident_id = incident.incident_id AND alert.ends_at IS NULL)",
        &firing.iter().map(|row| row.incident_id).collect::<Vec<_>>(),
    );
    postgres::query("incident_resolve", update.execute(conn)).await?;
    Ok((u64::try_from(known.len()).unwrap_or(u64::MAX), resolved))
}

pub(crate) async fn find(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Option<Incident>> {
    let select = sqlx::query_as!(
        Incident,
        "SELECT incident_id, title, severity, classification_uncertain, status, service, incomplete,
                started_at, opened_at, resolved_at
         FROM incident WHERE incident_id = $1",
        id,
    );
    postgres::query("incident_find", select.fetch_optional(conn)).await
}

pub(crate) async fn alerts(
    conn: &mut PgConnection,
    incident: Uuid,
) -> sqlx::Result<Vec<AlertView>> {
    let select = sqlx::query_as!(
        AlertView,
        "SELECT fingerprint, starts_at, ends_at, labels, annotations
         FROM alert WHERE incident_id = $1 ORDER BY starts_at, fingerprint",
        incident,
    );
    postgres::query("alert_of_incident", select.fetch_all(conn)).await
}

fn json(texts: &Texts) -> Value {
    texts.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect()
}
