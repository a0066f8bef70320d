use kit::{page, postgres};
use uuid::Uuid;

use super::{Bookings, Error, Seen};
use crate::domain::{Position, Week};
use crate::store;
use crate::view::{ServicePage, StaffPage};

/// A request for a page of a list.
#[derive(Clone, Debug, Default)]
pub struct PageQuery {
    /// 1 to 100; 20 when absent.
    pub limit: Option<i64>,
    /// Cursor of this page, from the page before.
    pub cursor: Option<String>,
    /// Log position that the client has seen. Only some lists use it.
    pub seen: Option<Position>,
}

/// The catalog of a merchant, for every member.
impl Bookings {
    pub async fn services(
        &self,
        merchant: Uuid,
        query: PageQuery,
    ) -> Result<Seen<ServicePage>, Error> {
        let limit = page::limit(query.limit)?;
        let after = query.cursor.as_deref().map(page::key).transpose()?;
        self.read(query.seen, |mut conn| async move {
            if store::zone_of_merchant(&mut conn, merchant).await?.is_none() {
                return Err(Error::UnknownMerchant);
            }
            let rows = store::list_services(&mut conn, merchant, after, one_more(limit)).await?;
            let (items, next_cursor) = page::split(rows, limit, |service| service.service_id);
            Ok((conn, ServicePage { items, next_cursor }))
        })
        .await
    }

    pub async fn staff(&self, merchant: Uuid, query: PageQuery) -> Result<Seen<StaffPage>, Error> {
        let limit = page::limit(query.limit)?;
        let after = query.cursor.as_deref().map(page::key).transpose()?;
        self.read(query.seen, |mut conn| async move {
            if store::zone_of_merchant(&mut conn, merchant).await?.is_none() {
                return Err(Error::UnknownMerchant);
            }
            let rows = store::list_staff(&mut conn, merchant, after, one_more(limit)).await?;
            let (items, next_cursor) = page::split(rows, limit, |staff| staff.staff_id);
            Ok((conn, StaffPage { items, next_cursor }))
        })
        .await
    }

    pub async fn hours(&self, merchant: Uuid, staff: Uuid) -> Result<Week, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::week_of_staff(&mut conn, merchant, staff).await?.ok_or(Error::UnknownStaff)
    }
}

/// Returns the limit of a query: one row more than the page holds, to see whether there is a next page.
pub(super) fn one_more(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}
