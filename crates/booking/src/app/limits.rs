//! The limits on the bookings and holds of one member.

use sqlx::PgConnection;

use super::{Bookings, Error};
use crate::domain::{Actor, Terms};
use crate::store;

impl Bookings {
    /// Returns the number of bookings that a member may have ahead; `None` at their own merchant.
    pub(super) fn booking_limit(&self, actor: Actor, terms: &Terms) -> Option<i64> {
        (!actor.owns(terms.owner_id)).then_some(self.bookings_per_member.into())
    }

    /// Refuses a member who has reached the limit. Locks the member's count until the transaction ends, so that no
    /// two of their requests take the last place.
    pub(super) async fn check_booking_limit(
        &self,
        conn: &mut PgConnection,
        actor: Actor,
        terms: &Terms,
    ) -> Result<(), Error> {
        let limit = self.booking_limit(actor, terms);
        let now = self.clock.now();
        let ahead = store::open_bookings(conn, actor.id(), now, limit.unwrap_or(0)).await?;
        if limit.is_some_and(|limit| ahead >= limit) {
            return Err(Error::TooManyBookings);
        }
        Ok(())
    }

    /// Refuses a member who holds as many slots as allowed. To be called after [`Self::check_booking_limit`], which
    /// locks the member's count.
    pub(super) async fn check_hold_limit(
        &self,
        conn: &mut PgConnection,
        actor: Actor,
    ) -> Result<(), Error> {
        let holds = store::count_holds(conn, actor.id()).await?;
        if holds >= i64::from(self.holds_per_member) { Err(Error::TooManyHolds) } else { Ok(()) }
    }
}
