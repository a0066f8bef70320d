use chrono::{DateTime, Utc};
use kit::postgres;
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ActionItem, Error, Incident, Incidents, RollbackView};
use crate::domain::{Advice, Check, Severity, Signals, Texts, checklist};
use crate::store::{alerts, incidents, learning, notices, rollbacks, story};

/// An incident with the alerts it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct IncidentDetail {
    #[serde(flatten)]
    pub incident: Incident,
    /// Every affected service.
    pub services: Vec<String>,
    pub roles: Vec<Holder>,
    pub checklist: Vec<CheckView>,
    pub timeline: Vec<Event>,
    /// Every change of severity, oldest first.
    pub severities: Vec<SeverityChange>,
    pub links: Vec<Linked>,
    pub alerts: Vec<AlertView>,
    /// Who was told of it, oldest first.
    pub told: Vec<Told>,
    /// What to try, the likeliest first; none when it is over.
    pub advice: Vec<Advice>,
    /// What shall keep it from happening again.
    pub actions: Vec<ActionItem>,
    /// Services taken back, or attempts to, oldest first.
    pub rollbacks: Vec<RollbackView>,
    /// Affected services that can be taken back from here.
    pub can_roll_back: Vec<String>,
}

/// A message that a channel has taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Told {
    pub sent_at: DateTime<Utc>,
    pub channel: String,
    /// opened, worse, late, unanswered, resolved, rollback or action.
    pub kind: String,
}

/// Who has a role in the response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Holder {
    /// commander, technical_lead or communications_lead.
    pub role: String,
    pub holder: String,
}

/// Something to do, and whether it is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckView {
    pub item: &'static str,
    pub phase: &'static str,
    pub text: &'static str,
    pub done_at: Option<DateTime<Utc>>,
    pub done_by: Option<Uuid>,
}

/// An item of the checklist that is done.
pub(crate) struct Tick {
    pub(crate) item: String,
    pub(crate) done_at: DateTime<Utc>,
    pub(crate) done_by: Uuid,
}

/// One entry of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Event {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// When it was written down.
    pub recorded_at: DateTime<Utc>,
    pub kind: String,
    /// Absent: the system itself.
    pub actor: Option<Uuid>,
    pub text: String,
}

/// A severity that an incident got, and who gave it why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct SeverityChange {
    pub changed_at: DateTime<Utc>,
    pub was: String,
    pub severity: String,
    /// Absent: an alert.
    pub actor: Option<Uuid>,
    pub reason: String,
}

/// A related incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Linked {
    pub incident_id: Uuid,
    pub number: String,
    pub title: String,
}

/// An alert that belongs to an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct AlertView {
    pub fingerprint: String,
    pub starts_at: DateTime<Utc>,
    /// Absent while it fires.
    pub ends_at: Option<DateTime<Utc>>,
    /// As strangers wrote them: escape before showing.
    #[schema(value_type = Object)]
    pub labels: Value,
    #[schema(value_type = Object)]
    pub annotations: Value,
}

impl Incidents {
    /// An incident with everything that belongs to it.
    pub async fn show(&self, id: Uuid) -> Result<IncidentDetail, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let mut detail = detail(&mut conn, id, self.clock.now()).await?;
        detail.can_roll_back.retain(|service| self.can_roll_back(service));
        Ok(detail)
    }
}

/// Everything about an incident, as this connection sees it.
pub(super) async fn detail(
    conn: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<IncidentDetail, Error> {
    let incident = incidents::find(conn, id).await?.ok_or(Error::NotFound)?;
    let ticks = story::ticks(conn, id).await?;
    let severity = incident.severity.parse().unwrap_or(Severity::P0); // a CHECK knows them all
    let view = |check: &Check| {
        let tick = ticks.iter().find(|tick| tick.item == check.item);
        let Check { item, phase, text } = *check;
        let (done_at, done_by) = (tick.map(|t| t.done_at), tick.map(|t| t.done_by));
        CheckView { item, phase, text, done_at, done_by }
    };
    let alerts = alerts::of_incident(conn, id).await?;
    let advice =
        if incident.resolved_at.is_none() { advice(severity, &alerts, now) } else { Vec::new() };
    let services = story::services(conn, id).await?;
    Ok(IncidentDetail {
        incident,
        rollbacks: rollbacks::of_incident(conn, id).await?,
        can_roll_back: services.clone(),
        services,
        roles: story::holders(conn, id).await?,
        checklist: checklist(severity).iter().map(view).collect(),
        timeline: story::timeline(conn, id).await?,
        severities: story::severities(conn, id).await?,
        links: story::links(conn, id).await?,
        alerts,
        told: notices::of_incident(conn, id).await?,
        advice,
        actions: learning::actions(conn, Some(id), false).await?,
    })
}

fn advice(severity: Severity, alerts: &[AlertView], now: DateTime<Utc>) -> Vec<Advice> {
    let texts =
        |value: &Value| -> Texts { serde_json::from_value(value.clone()).unwrap_or_default() };
    let said: Vec<_> =
        alerts.iter().map(|alert| (texts(&alert.labels), texts(&alert.annotations))).collect();
    Signals::of(severity, said.iter().map(|(labels, notes)| (labels, notes)), now).advice()
}
