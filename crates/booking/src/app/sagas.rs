use kit::{page, postgres};
use uuid::Uuid;

use super::{Bookings, Error, PageQuery};
use crate::store;
use crate::view::{SagaFilter, SagaPage, SagaWithSteps};

/// The sagas, for operators.
impl Bookings {
    pub async fn saga(&self, saga: Uuid) -> Result<SagaWithSteps, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let found = store::view_saga(&mut conn, saga).await?.ok_or(Error::UnknownSaga)?;
        let steps = store::steps_of_saga(&mut conn, saga).await?;
        Ok(SagaWithSteps { saga: found, steps })
    }

    /// Lists sagas, the newest first.
    pub async fn sagas(&self, filter: SagaFilter, query: PageQuery) -> Result<SagaPage, Error> {
        let limit = page::limit(query.limit)?;
        let before = query.cursor.as_deref().map(page::key).transpose()?;
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let fetch = super::catalog::one_more(limit);
        let rows = store::list_sagas(&mut conn, &filter, before, fetch).await?;
        let (items, next_cursor) = page::split(rows, limit, |saga| saga.saga_id);
        Ok(SagaPage { items, next_cursor })
    }
}
