use chrono::{DateTime, Datelike as _, Utc};
use kit::page;
use uuid::Uuid;

use super::{Bookings, Error, Seen};
use crate::domain::{Booking, Position};
use crate::store;
use crate::view::{Filter, Page, Place};

/// A request for a page of a member's bookings, the latest appointment first.
pub struct List {
    pub member_id: Uuid,
    pub filter: Filter,
    /// 1 to 100; 20 when absent.
    pub limit: Option<i64>,
    /// Cursor of this page, from the page before.
    pub cursor: Option<String>,
    /// Log position that the client has seen.
    pub seen: Option<Position>,
}

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

/// Reads a cursor. It names its member, so that one from another's list is refused.
fn place(cursor: &str, member: Uuid) -> Result<Place, page::Error> {
    match page::key::<(Uuid, Place)>(cursor)? {
        (whose, place) if whose == member && storable(&place.0) => Ok(place),
        _ => Err(page::Error::Cursor),
    }
}

/// Returns `true` in the years that PostgreSQL can store. chrono knows earlier ones.
pub(super) fn storable(time: &DateTime<Utc>) -> bool {
    (0..=9999).contains(&time.year())
}
