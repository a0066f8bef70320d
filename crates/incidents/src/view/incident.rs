use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::{Severity, Status};

/// A selection of incidents.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub stage: Option<Stage>,
    pub severity: Option<Severity>,
    /// One of the affected services.
    pub service: Option<String>,
    pub acknowledged: Option<bool>,
    pub verified: Option<bool>,
    pub limit: Option<i64>,
    pub cursor: Option<String>,
}

/// One status, or every status of an open incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Open,
    #[serde(untagged)]
    At(Status),
}

/// An incident, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, FromRow, ToSchema)]
pub struct Incident {
    pub incident_id: Uuid,
    /// The number for people.
    #[schema(example = "INC-2026-0001")]
    pub number: String,
    pub title: String,
    /// The severity, P0 (worst) to P3.
    #[schema(value_type = String)]
    pub severity: Severity,
    /// False when Prometheus does not have its alerts and no operator has verified it. It wakes nobody, and is on
    /// no public page.
    pub verified: bool,
    /// True when the alert gave no severity, or an unknown one.
    pub classification_uncertain: bool,
    /// The signal that decided the severity.
    pub rule: String,
    /// The status: investigating, identified, monitoring, resolved or postmortem_done.
    #[schema(value_type = String)]
    pub status: Status,
    pub service: String,
    /// True when there were more alerts than were delivered.
    pub incomplete: bool,
    pub started_at: DateTime<Utc>,
    pub opened_at: DateTime<Utc>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub resolved_at: Option<DateTime<Utc>>,
    /// The time by which somebody must have responded.
    pub response_due: DateTime<Utc>,
    /// The time by which it must be resolved.
    pub resolution_due: DateTime<Utc>,
    pub response_breached_at: Option<DateTime<Utc>>,
    pub resolution_breached_at: Option<DateTime<Utc>>,
    /// The incident that goes on in place of this one.
    pub merged_into: Option<Uuid>,
    /// The note with which it was resolved.
    pub resolution: Option<String>,
}

/// A page of incidents, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page {
    pub items: Vec<Incident>,
    /// The cursor of the next page; absent on the last one.
    pub next_cursor: Option<String>,
}

/// The outcome of a delivery: numbers of alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Received {
    /// New alerts that opened an incident.
    pub opened: u64,
    /// New alerts that joined an incident of their cause.
    pub joined: u64,
    /// Alerts that ended now.
    pub resolved: u64,
    /// Alerts that were delivered before.
    pub duplicate: u64,
    /// Alerts that ended without having fired here.
    pub unknown: u64,
    /// Alerts with an end that still fire at Prometheus: they go on.
    pub contradicted: u64,
    /// New alerts that Prometheus does not have.
    pub unverified: u64,
}
