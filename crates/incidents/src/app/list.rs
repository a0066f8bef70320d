use kit::{page, postgres};
use uuid::Uuid;

use super::{Error, Incidents};
use crate::store;
use crate::view::{Filter, Page};

impl Incidents {
    /// Returns a page of incidents, newest first.
    pub async fn list(&self, filter: Filter) -> Result<Page, Error> {
        let limit = page::limit(filter.limit)?;
        let before = filter.cursor.as_deref().map(page::key::<Uuid>).transpose()?;

        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let rows = store::list(&mut conn, &filter, before, limit + 1).await?;
        let (items, next_cursor) = page::split(rows, limit, |incident| incident.incident_id);
        Ok(Page { items, next_cursor })
    }
}
