use chrono::{DateTime, Utc};
use kit::postgres;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Incidents};
use crate::domain::{Advice, Check, Severity, Signals, Texts, checklist};
use crate::store::{actions, alerts, incidents, notices, rollbacks, timeline};
use crate::view::{Actions, AlertView, CheckView, IncidentDetail};

impl Incidents {
    /// Returns an incident with everything that belongs to it.
    pub async fn show(&self, id: Uuid) -> Result<IncidentDetail, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let mut detail = detail(&mut conn, id, self.clock.now()).await?;
        detail.can_roll_back.retain(|service| self.can_roll_back(service));
        Ok(detail)
    }
}

/// Reads an incident with everything that belongs to it, in the transaction of the connection.
pub(super) async fn detail(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<IncidentDetail, Error> {
    let incident = incidents::find(conn, id).await?.ok_or(Error::UnknownIncident)?;
    let ticks = timeline::ticks(conn, id).await?;
    let view = |check: &Check| {
        let tick = ticks.iter().find(|tick| tick.item == check.item);
        let Check { item, phase, text } = check;
        CheckView {
            item: (*item).to_owned(),
            phase: (*phase).to_owned(),
            text: (*text).to_owned(),
            done_at: tick.map(|t| t.done_at),
            done_by: tick.map(|t| t.done_by),
        }
    };
    let alerts = alerts::of_incident(conn, id).await?;
    let open = incident.status.is_open();
    let advice = if open { advice(incident.severity, &alerts, now) } else { Vec::new() };
    let services = timeline::services(conn, id).await?;
    Ok(IncidentDetail {
        checklist: checklist(incident.severity).iter().map(view).collect(),
        incident,
        rollbacks: rollbacks::of_incident(conn, id).await?,
        can_roll_back: services.clone(),
        services,
        roles: timeline::holders(conn, id).await?,
        timeline: timeline::of_incident(conn, id).await?,
        severities: timeline::severities(conn, id).await?,
        links: timeline::links(conn, id).await?,
        alerts,
        told: notices::of_incident(conn, id).await?,
        advice,
        actions: actions::list(conn, Actions::Of(id)).await?,
    })
}

fn advice(severity: Severity, alerts: &[AlertView], now: DateTime<Utc>) -> Vec<Advice> {
    let texts =
        |value: &Value| -> Texts { serde_json::from_value(value.clone()).unwrap_or_default() };
    let texts: Vec<_> =
        alerts.iter().map(|alert| (texts(&alert.labels), texts(&alert.annotations))).collect();
    Signals::of(severity, texts.iter().map(|(labels, notes)| (labels, notes)), now).advice()
}
