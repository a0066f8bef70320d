use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Number, Severity, Status, Target};

/// An incident to be opened.
#[derive(Clone, Debug)]
pub struct NewIncident {
    pub id: Uuid,
    pub number: Number,
    pub cause: String,
    pub title: String,
    pub service: String,
    pub severity: Severity,
    pub verified: bool,
    /// True when an alert gave no severity, or an unknown one.
    pub uncertain: bool,
    /// The signal that decided the severity.
    pub rule: String,
    /// True when there were more alerts than were delivered.
    pub incomplete: bool,
    pub started_at: DateTime<Utc>,
    pub opened_at: DateTime<Utc>,
    pub target: Target,
    /// True when Prometheus itself has an alert that asks to roll the service back.
    pub asks_for_rollback: bool,
}

/// An incident as a decision sees it. It is locked until the decision is stored.
#[derive(Clone, Debug)]
pub struct LockedIncident {
    pub id: Uuid,
    pub number: String,
    pub cause: String,
    pub title: String,
    pub status: Status,
    pub severity: Severity,
    pub verified: bool,
    /// True when an operator has classified it: alerts no longer do.
    pub by_hand: bool,
    pub opened_at: DateTime<Utc>,
    pub acknowledged_at: Option<DateTime<Utc>>,
}

/// Another severity for an incident.
#[derive(Clone, Debug)]
pub struct Reclassification {
    pub incident: Uuid,
    pub was: Severity,
    pub severity: Severity,
    /// The signal that decided the severity.
    pub rule: String,
    pub reason: String,
    /// The operator; `None` for an alert. An operator's classification also verifies the incident.
    pub by: Option<Uuid>,
    pub response_due: DateTime<Utc>,
    pub resolution_due: DateTime<Utc>,
}

impl LockedIncident {
    /// Returns this incident's change to another severity, with the due times of its target.
    pub fn reclassify(
        &self,
        severity: Severity,
        target: Target,
        rule: &str,
        reason: &str,
        by: Option<Uuid>,
    ) -> Reclassification {
        Reclassification {
            incident: self.id,
            was: self.severity,
            severity,
            rule: rule.to_owned(),
            reason: reason.to_owned(),
            by,
            response_due: self.opened_at + target.response,
            resolution_due: self.opened_at + target.resolution,
        }
    }
}
