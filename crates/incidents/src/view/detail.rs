use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{ActionItem, Incident, RollbackView};
use crate::domain::{Advice, EventKind, Severity};

/// An incident with everything that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// Messages that channels have accepted, oldest first.
    pub told: Vec<Told>,
    /// Advice, the likeliest first; none when it is resolved.
    pub advice: Vec<Advice>,
    /// Actions that prevent a recurrence.
    pub actions: Vec<ActionItem>,
    /// Rollbacks of services, oldest first.
    pub rollbacks: Vec<RollbackView>,
    /// Affected services that can be rolled back from here.
    pub can_roll_back: Vec<String>,
}

/// A message that a channel has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Told {
    pub sent_at: DateTime<Utc>,
    pub channel: String,
    /// The news: opened, worse, late, unanswered, resolved, rollback or action.
    pub kind: String,
}

/// The holder of a role in the response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Holder {
    /// The role: commander, technical_lead or communications_lead.
    pub role: String,
    pub holder: String,
}

/// An item of the checklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    pub item: String,
    pub phase: String,
    pub text: String,
    pub done_at: Option<DateTime<Utc>>,
    pub done_by: Option<Uuid>,
}

/// One event of the timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// The time of the event.
    pub at: DateTime<Utc>,
    /// The time at which it was recorded.
    pub recorded_at: DateTime<Utc>,
    #[schema(value_type = String)]
    pub kind: EventKind,
    /// The person; absent for the system itself.
    pub actor: Option<Uuid>,
    pub text: String,
}

/// A change of an incident's severity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SeverityChange {
    pub changed_at: DateTime<Utc>,
    #[schema(value_type = String)]
    pub was: Severity,
    #[schema(value_type = String)]
    pub severity: Severity,
    /// The operator; absent for an alert.
    pub actor: Option<Uuid>,
    pub reason: String,
}

/// A related incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Linked {
    pub incident_id: Uuid,
    pub number: String,
    pub title: String,
}

/// An alert that belongs to an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertView {
    pub fingerprint: String,
    pub starts_at: DateTime<Utc>,
    /// Absent while it fires.
    pub ends_at: Option<DateTime<Utc>>,
    /// Untrusted text: escape it before showing.
    #[schema(value_type = Object)]
    pub labels: Value,
    #[schema(value_type = Object)]
    pub annotations: Value,
}
