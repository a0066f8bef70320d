use chrono::{DateTime, Utc};
use kit::{page, postgres};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Incidents};
use crate::domain::{Severity, Status};
use crate::store;

/// Which incidents to list, and how many.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<Status>,
    pub severity: Option<Severity>,
    pub limit: Option<i64>,
    pub cursor: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct Incident {
    pub incident_id: Uuid,
    pub title: String,
    /// P0 (worst) to P3.
    pub severity: String,
    /// The alert did not say how severe it is, or not in words we know.
    pub classification_uncertain: bool,
    /// open or resolved.
    pub status: String,
    pub service: String,
    /// There were more alerts than we were told.
    pub incomplete: bool,
    pub started_at: DateTime<Utc>,
    pub opened_at: DateTime<Utc>,
    pub resolved_at: Option<DateTime<Utc>>,
}

/// Newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page {
    pub items: Vec<Incident>,
    /// Where the next page starts; absent on the last one.
    pub next_cursor: Option<String>,
}

impl Incidents {
    pub async fn list(&self, filter: Filter) -> Result<Page, Error> {
        let limit = page::limit(filter.limit)?;
        let before = filter.cursor.as_deref().map(page::key::<Uuid>).transpose()?;

        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let rows = store::list(&mut conn, &filter, before, limit + 1).await?;
        let (items, next_cursor) = page::split(rows, limit, |incident| incident.incident_id);
        Ok(Page { items, next_cursor })
    }
}
