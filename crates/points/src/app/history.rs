use chrono::{DateTime, Datelike as _, Utc};
use kit::{page, postgres};
use uuid::Uuid;

use super::Points;
use crate::domain::{AccountRef, Actor, Refused};
use crate::error::Error;
use crate::store;
use crate::view::{HistoryFilter, Page};

impl Points {
    /// A page of an account's entries. Never cached, because this is the ledger itself.
    pub async fn history(
        &self,
        by: &Actor,
        account: AccountRef,
        filter: HistoryFilter,
    ) -> Result<Page, Error> {
        let limit = page::limit(filter.limit)?;
        // chrono knows years that PostgreSQL does not.
        let possible = |time: &DateTime<Utc>| (0..=9_999).contains(&time.year());
        let ordered = filter.from.zip(filter.to).is_none_or(|(from, to)| from < to);
        if !ordered || !filter.from.iter().chain(&filter.to).all(possible) {
            return Err(Error::InvalidPeriod);
        }

        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let account = store::find_visible(&mut conn, by, account).await?;
        let account = account.ok_or(Refused::NotFound("account"))?;

        // A cursor names its account, so that a cursor of another list is refused, not misread.
        let before = match &filter.cursor {
            None => None,
            Some(cursor) => match page::key::<(Uuid, i64)>(cursor)? {
                (id, version) if id == account.id.0 => Some(version),
                _ => return Err(page::Error::Cursor.into()),
            },
        };

        let rows = store::history(&mut conn, account.id, &filter, before, limit + 1).await?;
        let (items, next_cursor) = page::split(rows, limit, |e| (account.id.0, e.version));
        Ok(Page { items, next_cursor })
    }
}
