//! Timelines, affected services, roles, checklists and links of incidents.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{Entry, EventKind, Severity};
use crate::view::{Event, Holder, Linked, SeverityChange};

/// A ticked item of the checklist.
pub(crate) struct Tick {
    pub(crate) item: String,
    pub(crate) done_at: DateTime<Utc>,
    pub(crate) done_by: Uuid,
}

/// Adds entries to timelines, with an id for each.
pub(crate) async fn add(
    conn: &mut PgConnection,
    ids: &[Uuid],
    entries: &[Entry],
    now: DateTime<Utc>,
) -> sqlx::Result<()> {
    if entries.is_empty() {
        return Ok(());
    }
    let insert = sqlx::query!(
        "INSERT INTO incident_event (event_id, incident_id, at, recorded_at, kind, actor, text)
         SELECT n.event_id, n.incident_id, n.at, $7, n.kind, n.actor, n.text
         FROM UNNEST($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::uuid[], $6::text[])
              AS n (event_id, incident_id, at, kind, actor, text)",
        ids,
        &entries.iter().map(|e| e.incident).collect::<Vec<_>>(),
        &entries.iter().map(|e| e.at).collect::<Vec<_>>(),
        &entries.iter().map(|e| e.kind.as_str().to_owned()).collect::<Vec<_>>(),
        &entries.iter().map(|e| e.actor).collect::<Vec<_>>() as &[Option<Uuid>],
        &entries.iter().map(|e| e.text.clone()).collect::<Vec<_>>(),
        now,
    );
    postgres::query("event_tell", insert.execute(conn)).await?;
    Ok(())
}

/// Returns the timeline of an incident.
pub(crate) async fn of_incident(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<Event>> {
    let select = sqlx::query_as!(
        Event,
        r#"SELECT at, recorded_at, kind AS "kind: EventKind", actor, text
           FROM incident_event WHERE incident_id = $1 ORDER BY at, event_id"#,
        id,
    );
    postgres::query("event_timeline", select.fetch_all(conn)).await
}

/// Adds affected services to incidents. Returns the number of new ones.
pub(crate) async fn affect(
    conn: &mut PgConnection,
    pairs: &BTreeSet<(Uuid, String)>,
) -> sqlx::Result<u64> {
    let (ids, services): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
    let insert = sqlx::query!(
        "INSERT INTO incident_service (incident_id, service)
         SELECT * FROM UNNEST($1::uuid[], $2::text[])
         ON CONFLICT ON CONSTRAINT incident_service_pk DO NOTHING",
        &ids,
        &services,
    );
    Ok(postgres::query("service_affect", insert.execute(conn)).await?.rows_affected())
}

pub(crate) async fn services(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<String>> {
    let select = sqlx::query_scalar!(
        "SELECT service FROM incident_service WHERE incident_id = $1 ORDER BY service",
        id,
    );
    postgres::query("service_affected", select.fetch_all(conn)).await
}

pub(crate) async fn severities(
    conn: &mut PgConnection,
    id: Uuid,
) -> sqlx::Result<Vec<SeverityChange>> {
    let select = sqlx::query_as!(
        SeverityChange,
        r#"SELECT changed_at, was AS "was: Severity", severity AS "severity: Severity", actor, reason
           FROM incident_severity WHERE incident_id = $1 ORDER BY change_id"#,
        id,
    );
    postgres::query("severity_history", select.fetch_all(conn)).await
}

pub(crate) async fn assign(
    conn: &mut PgConnection,
    incident: Uuid,
    role: &str,
    holder: &str,
) -> sqlx::Result<()> {
    let upsert = sqlx::query!(
        "INSERT INTO incident_role (incident_id, role, holder) VALUES ($1, $2, $3)
         ON CONFLICT ON CONSTRAINT incident_role_pk DO UPDATE SET holder = EXCLUDED.holder",
        incident,
        role,
        holder,
    );
    postgres::query("role_assign", upsert.execute(conn)).await?;
    Ok(())
}

pub(crate) async fn holders(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<Holder>> {
    let select = sqlx::query_as!(
        Holder,
        "SELECT role, holder FROM incident_role WHERE incident_id = $1 ORDER BY role",
        id,
    );
    postgres::query("role_holders", select.fetch_all(conn)).await
}

/// Ticks an item of the checklist, or removes the tick. Returns true when that changed something.
pub(crate) async fn tick(
    conn: &mut PgConnection,
    incident: Uuid,
    item: &str,
    done: Option<(DateTime<Utc>, Uuid)>,
) -> sqlx::Result<bool> {
    let result = match done {
        Some((at, by)) => {
            let insert = sqlx::query!(
                "INSERT INTO incident_check (incident_id, item, done_at, done_by) VALUES ($1, $2, $3, $4)
                 ON CONFLICT ON CONSTRAINT incident_check_pk DO NOTHING",
                incident,
                item,
                at,
                by,
            );
            postgres::query("check_tick", insert.execute(conn)).await?
        }
        None => {
            let delete = sqlx::query!(
                "DELETE FROM incident_check WHERE incident_id = $1 AND item = $2",
                incident,
                item,
            );
            postgres::query("check_untick", delete.execute(conn)).await?
        }
    };
    Ok(result.rows_affected() == 1)
}

pub(crate) async fn ticks(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<Tick>> {
    let select = sqlx::query_as!(
        Tick,
        "SELECT item, done_at, done_by FROM incident_check WHERE incident_id = $1",
        id,
    );
    postgres::query("check_ticks", select.fetch_all(conn)).await
}

/// Links two incidents. Returns false when they were linked before.
pub(crate) async fn link(conn: &mut PgConnection, a: Uuid, b: Uuid) -> sqlx::Result<bool> {
    let insert = sqlx::query!(
        "INSERT INTO incident_link (incident_id, other_id) VALUES ($1, $2)
         ON CONFLICT ON CONSTRAINT incident_link_pk DO NOTHING",
        a.min(b),
        a.max(b),
    );
    Ok(postgres::query("link_add", insert.execute(conn)).await?.rows_affected() == 1)
}

pub(crate) async fn links(conn: &mut PgConnection, id: Uuid) -> sqlx::Result<Vec<Linked>> {
    let select = sqlx::query_as!(
        Linked,
        "SELECT i.incident_id, i.number, i.title
         FROM incident_link l
         JOIN incident i ON i.incident_id = CASE WHEN l.incident_id = $1 THEN l.other_id ELSE l.incident_id END
         WHERE l.incident_id = $1 OR l.other_id = $1
         ORDER BY i.incident_id",
        id,
    );
    postgres::query("link_list", select.fetch_all(conn)).await
}

/// Moves the alerts and the affected services of one incident to another.
pub(crate) async fn take_over(conn: &mut PgConnection, from: Uuid, into: Uuid) -> sqlx::Result<()> {
    let alerts =
        sqlx::query!("UPDATE alert SET incident_id = $2 WHERE incident_id = $1", from, into);
    postgres::query("merge_alerts", alerts.execute(&mut *conn)).await?;
    let services = sqlx::query!(
        "INSERT INTO incident_service (incident_id, service)
         SELECT $2, service FROM incident_service WHERE incident_id = $1
         ON CONFLICT ON CONSTRAINT incident_service_pk DO NOTHING",
        from,
        into,
    );
    postgres::query("merge_services", services.execute(conn)).await?;
    Ok(())
}
