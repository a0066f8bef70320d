use chrono::{DateTime, Utc};
use kit::{page, postgres};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Incidents};
use crate::domain::{Severity, Status};
use crate::store;

/// Which incidents to list, and how many.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub stage: Option<Stage>,
    pub severity: Option<Severity>,
    /// Among the affected services.
    pub service: Option<String>,
    pub acknowledged: Option<bool>,
    pub verified: Option<bool>,
    pub limit: Option<i64>,
    pub cursor: Option<String>,
}

/// One status, or every one in which it still burns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Open,
    #[serde(untagged)]
    At(Status),
}

/// An incident, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct Incident {
    pub incident_id: Uuid,
    /// What people call it.
    #[schema(example = "INC-2026-0001")]
    pub number: String,
    pub title: String,
    /// P0 (worst) to P3.
    pub severity: String,
    /// False: Prometheus does not know its alerts, and no operator vouches for it. It wakes nobody, and is on no
    /// public page.
    pub verified: bool,
    /// The alert did not say how severe it is, or not in words we know.
    pub classification_uncertain: bool,
    /// The signal that decided the severity.
    pub rule: String,
    /// investigating, identified, monitoring, resolved or postmortem_done.
    pub status: String,
    pub service: String,
    /// There were more alerts than we were told.
    pub incomplete: bool,
    pub started_at: DateTime<Utc>,
    pub opened_at: DateTime<Utc>,
    pub acknowledged_at: Option<DateTime<Utc>>,
    pub resolved_at: Option<DateTime<Utc>>,
    /// By when somebody must have responded.
    pub response_due: DateTime<Utc>,
    /// By when it must be over.
    pub resolution_due: DateTime<Utc>,
    pub response_breached_at: Option<DateTime<Utc>>,
    pub resolution_breached_at: Option<DateTime<Utc>>,
    /// The incident that went on instead of this one.
    pub merged_into: Option<Uuid>,
    /// What ended it.
    pub resolution: Option<String>,
}

/// Newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page {
    pub items: Vec<Incident>,
    /// Where the next page starts; absent on the last one.
    pub next_cursor: Option<String>,
}

impl Incidents {
    /// A page of incidents, the newest first.
    pub async fn list(&self, filter: Filter) -> Result<Page, Error> {
        let limit = page::limit(filter.limit)?;
        let before = filter.cursor.as_deref().map(page::key::<Uuid>).transpose()?;

        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let rows = store::list(&mut conn, &filter, before, limit + 1).await?;
        let (items, next_cursor) = page::split(rows, limit, |incident| incident.incident_id);
        Ok(Page { items, next_cursor })
    }
}
