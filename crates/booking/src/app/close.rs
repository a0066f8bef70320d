use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use kit::{page, postgres};
use uuid::Uuid;

use super::list::storable;
use super::{Bookings, Error, PageQuery};
use crate::domain::{Moment, Owner, Span};
use crate::store;
use crate::view::{Closure, ClosurePage, Place};

/// Closes a merchant for a time, or gives one person time off. For the merchant's owner. Existing bookings stay.
pub struct Close {
    pub owner: Owner,
    pub merchant_id: Uuid,
    /// The whole merchant when absent.
    pub staff_id: Option<Uuid>,
    pub starts_at: Moment,
    pub ends_at: Moment,
}

impl Bookings {
    /// Answers the [`Closure`].
    pub async fn close(&self, key: Key, wanted: Close) -> Result<Answer<Closure>, Error> {
        let mut work = match command::begin(&self.db, wanted.owner.id(), &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };

        let zone = store::zone_of_owner(&mut work, wanted.owner.id(), wanted.merchant_id)
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
        let now = self.clock.now();
        store::insert_closure(&mut work, &closure, now).await.map_err(unknown_staff)?;
        Ok(work.commit(Success::Created, closure).await?)
    }

    /// Lists current and future closures by start. For the merchant's owner.
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

    /// Deletes a closure. For the merchant's owner.
    pub async fn reopen(&self, owner: Owner, merchant: Uuid, closure: Uuid) -> Result<(), Error> {
        let mut tx = postgres::begin(&self.db).await?;
        if !store::delete_closure(&mut tx, owner.id(), merchant, closure).await? {
            return Err(Error::UnknownClosure);
        }
        Ok(postgres::commit(tx).await?)
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
