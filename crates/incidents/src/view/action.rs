use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An action that prevents a recurrence of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActionItem {
    pub action_id: Uuid,
    pub incident_id: Uuid,
    #[schema(example = "INC-2026-0001")]
    pub number: String,
    pub text: String,
    /// The priority: high, medium or low.
    pub priority: String,
    pub assignee: String,
    pub due: NaiveDate,
    pub created_at: DateTime<Utc>,
    pub done_at: Option<DateTime<Utc>>,
}

/// A selection of actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actions {
    All,
    Open,
    /// All actions of an incident.
    Of(Uuid),
}
