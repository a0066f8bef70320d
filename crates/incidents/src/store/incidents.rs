use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::app::Incident;
use crate::domain::{Number, Severity, Status, Target};

/// An incident to be opened.
pub(crate) struct New {
    pub(crate) id: Uuid,
    pub(crate) number: Number,
    pub(crate) cause: String,
    pub(crate) title: String,
    pub(crate) service: String,
    pub(crate) severity: Severity,
    pub(crate) verified: bool,
    pub(crate) uncertain: bool,
    pub(crate) rule: String,
    pub(crate) incomplete: bool,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) target: Target,
}

/// An incident that waits for what this transaction does to it.
pub(crate) struct Locked {
    pub(crate) id: Uuid,
    pub(crate) number: String,
    pub(crate) cause: String,
    pub(crate) title: String,
    pub(crate) status: Status,
    pub(crate) severity: Severity,
    pub(crate) verified: bool,
    pub(crate) by_hand: bool,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) acknowledged_at: Option<DateTime<Utc>>,
}

/// As the database has it.
struct Row {
    incident_id: Uuid,
    number: String,
    cause: String,
    title: String,
    status: String,
    severity: String,
    verified: bool,
    classified_by_hand: bool,
    opened_at: DateTime<Utc>,
    acknowledged_at: Option<DateTime<Utc>>,
}

impl TryFrom<Row> for Locked {
    type Error = sqlx::Error;

    fn try_from(row: Row) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.incident_id,
            number: row.number,
            cause: row.cause,
            title: row.title,
            status: parsed(&row.status)?,
            severity: parsed(&row.severity)?,
            verified: row.verified,
            by_hand: row.classified_by_hand,
            opened_at: row.opened_at,
            acknowledged_at: row.acknowledged_at,
        })
    }
}

/// The last number of the year. Whoever has asked is alone in opening incidents until its end.
pub(crate) async fn last_number(conn: &mut PgConnection, year: i32) -> sqlx::Result<i32> {
    let upsert = sqlx::query_scalar!(
        "INSERT INTO incident_counter AS c (year, last) VALUES ($1, 0)
         ON CONFLICT ON CONSTRAINT incident_counter_pk DO UPDATE SET last = c.last
         RETURNING last",
        year,
    );
    postgres::query("incident_counter", upsert.fetch_one(conn)).await
}

/// Opens incidents, whose numbers follow the last one.
pub(crate) async fn open(conn: &mut PgConnection, new: &[New]) -> sqlx::Result<()> {
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

/// Locks what still burns of these causes.
pub(crate) async fn lock_burning(
    conn: &mut PgConnection,
    causes: &[String],
) -> sqlx::Result<Vec<Locked>> {
    let select = sqlx::query_as!(
        Row,
        "SELECT incident_id, number, cause, title, status, severity, verified, classified_by_hand, opened_at,
                acknowledged_at
         FROM incident WHERE cause = ANY($1) AND resolved_at IS NULL
         ORDER BY incident_id FOR NO KEY UPDATE",
        causes,
    );
    let rows = postgres::query("incident_lock_burning", select.fetch_all(conn)).await?;
    rows.into_iter().map(Locked::try_from).collect()
}

/// Locks these incidents, in one order whoever asks.
pub(crate) async fn lock(conn: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<Vec<Locked>> {
    let select = sqlx::query_as!(
        Row,
        "SELECT incident_id, number, cause, title, status, severity, verified, classified_by_hand, opened_at,
                acknowledged_at
         FROM incident WHERE incident_id = ANY($1)
         ORDER BY incident_id FOR NO KEY UPDATE",
        ids,
    );
    let rows = postgres::query("incident_lock", select.fetch_all(conn)).await?;
    rows.into_iter().map(Locked::try_from).collect()
}

/// An incident that is over by itself.
pub(crate) struct Quiet {
    pub(crate) id: Uuid,
    pub(crate) number: String,
    pub(crate) title: String,
    pub(crate) severity: String,
    pub(crate) verified: bool,
    pub(crate) service: String,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) resolved_at: DateTime<Utc>,
}

/// Resolves those of the incidents that still burn and in which nothing fires any more.
pub(crate) async fn resolve_quiet(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> sqlx::Result<Vec<Quiet>> {
    let update = sqlx::query_as!(
        Quiet,
        r#"UPDATE incident SET status = 'resolved',
                resolved_at = GREATEST(started_at, (SELECT max(ends_at) FROM alert
                                                    WHERE alert.incident_id = incident.incident_id))
         WHERE incident_id = ANY($1) AND resolved_at IS NULL
           AND NOT EXISTS (SELECT FROM alert
                           WHERE alert.incident_id = incident.incident_id AND alert.ends_at IS NULL)
         RETURNING incident_id AS id, number, title, severity, verified, service, opened_at,
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

/// A severity, why, and what it is due by.
pub(crate) async fn classify(
    conn: &mut PgConnection,
    incident: &Locked,
    severity: Severity,
    rule: &str,
    by_hand: bool,
    target: Target,
) -> sqlx::Result<()> {
    let update = sqlx::query!(
        "UPDATE incident SET severity = $2, rule = $3, classified_by_hand = $4,
                classification_uncertain = classification_uncertain AND NOT $4,
                verified = verified OR $4, -- who classifies it vouches for it
                response_due = $5, resolution_due = $6
         WHERE incident_id = $1",
        incident.id,
        severity.as_str(),
        rule,
        by_hand,
        incident.opened_at + target.response,
        incident.opened_at + target.resolution,
    );
    postgres::query("incident_classify", update.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn set_merged(conn: &mut PgConnection, id: Uuid, into: Uuid) -> sqlx::Result<()> {
    let update =
        sqlx::query!("UPDATE incident SET merged_into = $2 WHERE incident_id = $1", id, into);
    postgres::query("incident_merge", update.execute(conn)).await?;
    Ok(())
}

/// Ends the incidents whose last alerts went to others, for good. Pairs of which, and which goes on instead.
pub(crate) async fn replace_empty(
    conn: &mut PgConnection,
    pairs: &[(Uuid, Uuid)],
    now: DateTime<Utc>,
) -> sqlx::Result<Vec<Uuid>> {
    let (from, to): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
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
        "SELECT incident_id, number, title, severity, verified, classification_uncertain, rule, status, service,
                incomplete, started_at, opened_at, acknowledged_at, resolved_at, response_due,
                resolution_due, response_breached_at, resolution_breached_at, merged_into, resolution
         FROM incident WHERE incident_id = $1",
        id,
    );
    postgres::query("incident_find", select.fetch_optional(conn)).await
}

/// What a CHECK guards cannot be anything else.
fn parsed<T: std::str::FromStr>(text: &str) -> sqlx::Result<T>
where
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}
