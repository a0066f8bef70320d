use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kit::postgres;
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::domain::{AlertKey, Firing, Opening, SILENCE_FINGERPRINT, Texts};
use crate::view::AlertView;

/// The outcome of ending alerts.
#[derive(Default)]
pub(crate) struct Ended {
    /// The number of the alerts that had fired here.
    pub(crate) known: u64,
    /// The number of those that ended now.
    pub(crate) now: u64,
    /// The incidents of those, and the alerts' ends.
    pub(crate) ends: Vec<(Uuid, DateTime<Utc>)>,
}

impl Ended {
    pub(crate) fn incidents(&self) -> Vec<Uuid> {
        self.ends.iter().map(|(incident, _)| *incident).collect()
    }
}

/// Stores the bytes of a delivery, the same bytes once.
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

/// Stores the alerts that are new. Returns the incidents that they would open.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    openings: &[Opening],
) -> sqlx::Result<Vec<Uuid>> {
    let insert = sqlx::query_scalar!(
        "INSERT INTO alert (fingerprint, starts_at, incident_id, labels, annotations)
         SELECT n.fingerprint, n.starts_at, n.incident_id, n.labels, n.annotations
         FROM UNNEST($1::text[], $2::timestamptz[], $3::uuid[], $4::jsonb[], $5::jsonb[])
              AS n (fingerprint, starts_at, incident_id, labels, annotations)
         ON CONFLICT ON CONSTRAINT alert_once DO NOTHING
         RETURNING incident_id",
        &openings.iter().map(|o| o.alert.fingerprint.clone()).collect::<Vec<_>>(),
        &openings.iter().map(|o| o.alert.starts_at).collect::<Vec<_>>(),
        &openings.iter().map(|o| o.incident).collect::<Vec<_>>(),
        &openings.iter().map(|o| json(&o.alert.labels)).collect::<Vec<_>>(),
        &openings.iter().map(|o| json(&o.alert.annotations)).collect::<Vec<_>>(),
    );
    postgres::query("alert_insert", insert.fetch_all(conn)).await
}

/// Moves alerts from one incident to another, for each pair.
pub(crate) async fn regroup(
    conn: &mut PgConnection,
    pairs: &BTreeMap<Uuid, Uuid>,
) -> sqlx::Result<()> {
    let (from, to): (Vec<_>, Vec<_>) = pairs.iter().map(|(from, to)| (*from, *to)).unzip();
    let update = sqlx::query!(
        "UPDATE alert SET incident_id = n.belongs
         FROM UNNEST($1::uuid[], $2::uuid[]) AS n (at, belongs)
         WHERE alert.incident_id = n.at",
        &from,
        &to,
    );
    postgres::query("alert_regroup", update.execute(conn)).await?;
    Ok(())
}

/// Returns all firing alerts except our own.
pub(crate) async fn firing(conn: &mut PgConnection) -> sqlx::Result<Vec<Firing>> {
    let select = sqlx::query!(
        r#"SELECT a.fingerprint, a.starts_at, COALESCE(a.known_labels, a.labels) AS "labels!: Json<Texts>", i.verified
           FROM alert a JOIN incident i USING (incident_id)
           WHERE a.ends_at IS NULL AND a.fingerprint <> $1"#,
        SILENCE_FINGERPRINT,
    );
    let rows = postgres::query("alert_burning", select.fetch_all(conn)).await?;
    let firing = rows.into_iter().map(|row| Firing {
        key: (row.fingerprint, row.starts_at),
        labels: row.labels.0,
        verified: row.verified,
    });
    Ok(firing.collect())
}

/// Moves firing, unverified alerts to their proposed incidents, with their verified labels and annotations. Returns
/// pairs of the previous and the proposed incident.
pub(crate) async fn claim(
    conn: &mut PgConnection,
    openings: &[Opening],
) -> sqlx::Result<Vec<(Uuid, Uuid)>> {
    let update = sqlx::query!(
        r#"WITH n AS (
               SELECT * FROM UNNEST($1::text[], $2::timestamptz[], $3::uuid[], $4::jsonb[], $5::jsonb[])
                        AS n (fingerprint, starts_at, proposed, labels, annotations)),
           was AS (
               SELECT a.fingerprint, a.starts_at, a.incident_id AS was
               FROM alert a JOIN n USING (fingerprint, starts_at) JOIN incident i USING (incident_id)
               WHERE a.ends_at IS NULL AND NOT i.verified
               ORDER BY a.fingerprint, a.starts_at FOR NO KEY UPDATE OF a)
           UPDATE alert SET incident_id = n.proposed, known_labels = n.labels, known_annotations = n.annotations
           FROM n JOIN was USING (fingerprint, starts_at)
           WHERE alert.fingerprint = n.fingerprint AND alert.starts_at = n.starts_at
           RETURNING was.was AS "was!", n.proposed AS "proposed!""#,
        &openings.iter().map(|o| o.alert.fingerprint.clone()).collect::<Vec<_>>(),
        &openings.iter().map(|o| o.alert.starts_at).collect::<Vec<_>>(),
        &openings.iter().map(|o| o.incident).collect::<Vec<_>>(),
        &openings.iter().map(|o| json(&o.alert.labels)).collect::<Vec<_>>(),
        &openings.iter().map(|o| json(&o.alert.annotations)).collect::<Vec<_>>(),
    );
    let rows = postgres::query("alert_claim", update.fetch_all(conn)).await?;
    Ok(rows.into_iter().map(|row| (row.was, row.proposed)).collect())
}

/// Ends alerts.
pub(crate) async fn end(
    conn: &mut PgConnection,
    ends: &[(AlertKey, DateTime<Utc>)],
) -> sqlx::Result<Ended> {
    if ends.is_empty() {
        return Ok(Ended::default());
    }
    // Every delivery locks in the order of the key. An end before the start is clock skew.
    let select = sqlx::query!(
        r#"SELECT a.fingerprint, a.starts_at, GREATEST(s.ends_at, a.starts_at) AS "ends_at!",
                  a.ends_at IS NULL AS "firing!", a.incident_id
           FROM alert a
           JOIN UNNEST($1::text[], $2::timestamptz[], $3::timestamptz[])
                AS s (fingerprint, starts_at, ends_at) USING (fingerprint, starts_at)
           ORDER BY a.fingerprint, a.starts_at
           FOR NO KEY UPDATE OF a"#,
        &ends.iter().map(|((fingerprint, _), _)| fingerprint.clone()).collect::<Vec<_>>(),
        &ends.iter().map(|((_, starts_at), _)| *starts_at).collect::<Vec<_>>(),
        &ends.iter().map(|(_, at)| *at).collect::<Vec<_>>(),
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
    let now = postgres::query("alert_end", update.execute(conn)).await?.rows_affected();
    let ends = firing.iter().map(|row| (row.incident_id, row.ends_at)).collect();
    Ok(Ended { known: u64::try_from(known.len()).unwrap_or(u64::MAX), now, ends })
}

pub(crate) async fn of_incident(
    conn: &mut PgConnection,
    incident: Uuid,
) -> sqlx::Result<Vec<AlertView>> {
    let select = sqlx::query_as!(
        AlertView,
        r#"SELECT fingerprint, starts_at, ends_at, COALESCE(known_labels, labels) AS "labels!",
                  COALESCE(known_annotations, annotations) AS "annotations!"
           FROM alert WHERE incident_id = $1 ORDER BY starts_at, fingerprint"#,
        incident,
    );
    postgres::query("alert_of_incident", select.fetch_all(conn)).await
}

fn json(texts: &Texts) -> Value {
    texts.iter().map(|(name, value)| (name.clone(), Value::from(value.clone()))).collect()
}

/// Deletes up to a thousand deliveries from before a time.
pub(crate) async fn forget(conn: &mut PgConnection, before: DateTime<Utc>) -> sqlx::Result<i64> {
    let call = sqlx::query_scalar!(r#"SELECT forget_deliveries($1) AS "gone!""#, before);
    postgres::query("delivery_forget", call.fetch_one(conn)).await
}
