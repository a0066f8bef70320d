use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A postmortem, as Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Postmortem {
    pub body: String,
    /// The number of edits. With 0 it is made from the record.
    pub version: i32,
    pub edited_at: Option<DateTime<Utc>>,
    pub edited_by: Option<Uuid>,
}
