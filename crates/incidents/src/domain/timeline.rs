use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An entry for the timeline of an incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub incident: Uuid,
    /// The time of the event.
    pub at: DateTime<Utc>,
    pub kind: EventKind,
    /// `None` for the system itself.
    pub actor: Option<Uuid>,
    pub text: String,
}

/// The kind of an event in a timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    Opened,
    AlertJoined,
    AlertForgotten,
    Acknowledged,
    Status,
    Severity,
    Comment,
    Note,
    Role,
    Service,
    Checklist,
    Linked,
    Merged,
    Breach,
    Rollback,
    Resolved,
    Postmortem,
    Action,
}

impl Entry {
    /// Makes an entry of the system itself.
    pub fn by_system(
        incident: Uuid,
        at: DateTime<Utc>,
        kind: EventKind,
        text: impl Into<String>,
    ) -> Self {
        Self { incident, at, kind, actor: None, text: text.into() }
    }
}

impl EventKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::AlertJoined => "alert_joined",
            Self::AlertForgotten => "alert_forgotten",
            Self::Acknowledged => "acknowledged",
            Self::Status => "status",
            Self::Severity => "severity",
            Self::Comment => "comment",
            Self::Note => "note",
            Self::Role => "role",
            Self::Service => "service",
            Self::Checklist => "checklist",
            Self::Linked => "linked",
            Self::Merged => "merged",
            Self::Breach => "breach",
            Self::Rollback => "rollback",
            Self::Resolved => "resolved",
            Self::Postmortem => "postmortem",
            Self::Action => "action",
        }
    }
}
