use kit::{page, postgres};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bookings, Error, Seen};
use crate::domain::{Position, Service, Week};
use crate::store;

/// Which page of a list.
#[derive(Clone, Debug, Default)]
pub struct PageQuery {
    /// 1 to 100; 20 when absent.
    pub limit: Option<i64>,
    /// From the page before.
    pub cursor: Option<String>,
    /// What this client has seen; only some lists ask.
    pub seen: Option<Position>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ServicePage {
    pub items: Vec<Service>,
    /// Brings the next page; null on the last.
    pub next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StaffWithServices {
    pub staff_id: Uuid,
    pub merchant_id: Uuid,
    pub name: String,
    /// What this person does.
    pub service_ids: Vec<Uuid>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct StaffPage {
    pub items: Vec<StaffWithServices>,
    /// Brings the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// What a merchant offers is for everyone who has an account.
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

/// One row more than the page holds says whether there is a next one.
pub(super) fn one_more(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1)
}
