use chrono::{DateTime, Utc};
use kit::{page, postgres};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bookings, Error, PageQuery};
use crate::domain::SagaState;
use crate::store;

/// The payment of a booking with points, as operators see it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SagaView {
    pub saga_id: Uuid,
    pub booking_id: Uuid,
    pub merchant_id: Uuid,
    pub member_id: Uuid,
    pub points: i64,
    pub state: String,
    /// Why it went back.
    pub failure: Option<String>,
    /// Of the current step, without success.
    pub attempts: i32,
    pub last_error: Option<String>,
    /// Since when a person should look; it goes on trying all the same.
    pub needs_attention_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// One thing that happened.
#[derive(Debug, Serialize, ToSchema)]
pub struct SagaStep {
    pub step: String,
    /// What points said: `done`, or why not.
    pub outcome: String,
    /// Of the saga afterwards.
    pub state: String,
    /// How often the same happened.
    pub times: i32,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SagaWithSteps {
    #[serde(flatten)]
    pub saga: SagaView,
    /// In order.
    pub steps: Vec<SagaStep>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct SagaPage {
    pub items: Vec<SagaView>,
    /// Brings the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// Which of them.
#[derive(Clone, Debug, Default)]
pub struct SagaFilter {
    pub state: Option<SagaState>,
    pub open: Option<bool>,
    pub needs_attention: Option<bool>,
}

/// For operators.
impl Bookings {
    pub async fn saga(&self, saga: Uuid) -> Result<SagaWithSteps, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let found = store::find_saga(&mut conn, saga).await?.ok_or(Error::UnknownSaga)?;
        let steps = store::steps_of_saga(&mut conn, saga).await?;
        Ok(SagaWithSteps { saga: found, steps })
    }

    /// The newest first.
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
