use chrono::{DateTime, Datelike as _, Utc};
use kit::{page, postgres};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Points, Which};
use crate::domain::TransferKind;
use crate::store;

/// Which entries of an account to list, and how many.
#[derive(Clone, Debug, Default)]
pub struct HistoryFilter {
    pub kind: Option<TransferKind>,
    pub from: Option<DateTime<Utc>>,
    /// Exclusive.
    pub to: Option<DateTime<Utc>>,
    pub limit: Option<i64>,
    pub cursor: Option<String>,
}

/// One movement of an account's points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, FromRow, ToSchema)]
pub struct Entry {
    pub entry_id: Uuid,
    pub transfer_id: Uuid,
    pub kind: String,
    /// Credited when positive, debited when negative.
    pub amount: i64,
    /// Points available after it.
    pub balance: i64,
    /// The account's version after it.
    pub version: i64,
    pub reference: String,
    pub merchant_id: Option<Uuid>,
    pub occurred_at: DateTime<Utc>,
}

/// Newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page {
    pub items: Vec<Entry>,
    /// Where the next page starts; absent on the last one.
    pub next_cursor: Option<String>,
}

impl Points {
    /// A page of an account's entries. Never cached: this is the ledger itself.
    pub async fn history(&self, which: Which, filter: HistoryFilter) -> Result<Page, Error> {
        let limit = page::limit(filter.limit)?;
        // Years that chrono knows and PostgreSQL does not.
        let possible = |time: &DateTime<Utc>| (0..=9_999).contains(&time.year());
        let ordered = filter.from.zip(filter.to).is_none_or(|(from, to)| from < to);
        if !ordered || !filter.from.iter().chain(&filter.to).all(possible) {
            return Err(Error::InvalidPeriod);
        }

        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let account = store::find_visible(&mut conn, which).await?.ok_or(Error::NotFound)?;

        // The cursor names its account, so that one from another list is refused, not misread.
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
