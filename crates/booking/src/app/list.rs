use chrono::{DateTime, Datelike as _, Utc};
use kit::page;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Bookings, Error, Seen};
use crate::domain::{Booking, Position, Status};
use crate::store;

/// A page of the caller's own bookings, the latest appointment first.
pub struct List {
    pub member_id: Uuid,
    pub filter: Filter,
    /// 1 to 100; 20 when absent.
    pub limit: Option<i64>,
    /// From the page before.
    pub cursor: Option<String>,
    /// What this client has seen.
    pub seen: Option<Position>,
}

/// Which of them.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub status: Option<Status>,
    /// Those that start at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// Those that start before it.
    pub to: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct Page {
    pub items: Vec<Booking>,
    /// Brings the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// The place of a booking in a list: its start and its id.
pub(crate) type Place = (DateTime<Utc>, Uuid);

impl Bookings {
    pub async fn list(&self, query: List) -> Result<Seen<Page>, Error> {
        let limit = page::limit(query.limit)?;
        let after = query.cursor.as_deref().map(|c| place(c, query.member_id)).transpose()?;
        let Filter { from, to, .. } = &query.filter;
        if !from.iter().chain(to).all(storable) {
            return Err(Error::InvalidPeriod);
        }

        let List { member_id, ref filter, seen, .. } = query;
        self.read(seen, |mut conn| async move {
            let rows = store::list_bookings(&mut conn, member_id, filter, after, limit + 1).await?;
            let (items, next_cursor) = page::split(rows, limit, |booking: &Booking| {
                (member_id, (booking.starts_at, booking.booking_id))
            });
            Ok((conn, Page { items, next_cursor }))
        })
        .await
    }
}

/// The cursor names its member, so that one from another's list is refused, not misread.
fn place(cursor: &str, member: Uuid) -> Result<Place, page::Error> {
    match page::key::<(Uuid, Place)>(cursor)? {
        (whose, place) if whose == member && storable(&place.0) => Ok(place),
        _ => Err(page::Error::Cursor),
    }
}

/// chrono knows years before 4713 BC, PostgreSQL does not.
pub(super) fn storable(time: &DateTime<Utc>) -> bool {
    (0..=9999).contains(&time.year())
}
