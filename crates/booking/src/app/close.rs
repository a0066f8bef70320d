use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::{command, page, postgres};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::list::{Place, storable};
use super::{Bookings, Error, Owner, PageQuery};
use crate::domain::{Moment, Span};
use crate::store;

/// Closes a merchant, or gives one person time off. Only the owner may. Bookings that exist stay.
pub struct Close {
    pub owner: Owner,
    pub merchant_id: Uuid,
    /// Everybody when absent.
    pub staff_id: Option<Uuid>,
    pub starts_at: Moment,
    pub ends_at: Moment,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Closure {
    pub closure_id: Uuid,
    pub merchant_id: Uuid,
    /// Whose time off it is; null when the merchant is closed.
    pub staff_id: Option<Uuid>,
    pub starts_at: DateTime<Utc>,
    pub ends_at: DateTime<Utc>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ClosurePage {
    pub items: Vec<Closure>,
    /// Brings the next page; null on the last.
    pub next_cursor: Option<String>,
}

impl Bookings {
    /// 201 with the [`Closure`].
    pub async fn close(&self, key: Key, wanted: Close) -> Result<Answer, Error> {
        let this = self.clone();
        command::run(async move { this.shut(&key, &wanted).await }).await
    }

    async fn shut(&self, key: &Key, wanted: &Close) -> Result<Answer, Error> {
        let principal = wanted.owner.id().to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }

        let zone = store::zone_of_owner(&mut tx, wanted.owner.id(), wanted.merchant_id)
            .await?
            .ok_or(Error::UnknownMerchant)?;
        let at = |field, moment| {
            zone.instant(moment).map_err(|source| Error::LocalTime { field, source })
        };
        let span =
            Span::closure(at("starts_at", wanted.starts_at)?, at("ends_at", wanted.ends_at)?)?;
        let closure = Closure {
            closure_id: self.clock.id(),
            merchant_id: wanted.merchant_id,
            staff_id: wanted.staff_id,
            starts_at: span.from,
            ends_at: span.to,
        };
        store::insert_closure(&mut tx, &closure, self.clock.now()).await.map_err(unknown_staff)?;

        let answer = Answer::json(StatusCode::CREATED, &closure);
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        Ok(answer)
    }

    /// What is closed now or later, the next first. For the owner.
    pub async fn closures(
        &self,
        owner: Owner,
        merchant: Uuid,
        query: PageQuery,
    ) -> Result<ClosurePage, Error> {
        let limit = page::limit(query.limit)?;
        let after = query.cursor.as_deref().map(place).transpose()?;
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        if store::zone_of_owner(&mut conn, owner.id(), merchant).await?.is_none() {
            return Err(Error::UnknownMerchant);
        }
        let now = self.clock.now();
        let fetch = super::catalog::one_more(limit);
        let rows = store::list_closures(&mut conn, owner.id(), merchant, now, after, fetch).await?;
        let (items, next_cursor) =
            page::split(rows, limit, |closure| (closure.starts_at, closure.closure_id));
        Ok(ClosurePage { items, next_cursor })
    }

    /// Opens again. For the owner.
    pub async fn reopen(&self, owner: Owner, merchant: Uuid, closure: Uuid) -> Result<(), Error> {
        let this = self.clone();
        command::run(async move {
            let mut tx = postgres::begin(&this.db).await?;
            if !store::delete_closure(&mut tx, owner.id(), merchant, closure).await? {
                return Err(Error::UnknownClosure);
            }
            Ok(postgres::commit(tx).await?)
        })
        .await
    }
}

fn place(cursor: &str) -> Result<Place, page::Error> {
    let place = page::key::<Place>(cursor)?;
    if storable(&place.0) { Ok(place) } else { Err(page::Error::Cursor) }
}

fn unknown_staff(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("closure_staff_exists") => Error::UnknownStaff,
        _ => error.into(),
    }
}
