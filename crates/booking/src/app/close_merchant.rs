//! Closing a merchant for good, which only an operator does.

use chrono::{DateTime, Utc};
use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Booking, Membership, OWNER_LEFT, STAFF_UNLINKED, Status};
use crate::store::{self, Access};
use crate::view::ClosedMerchant;

/// Bookings read at once.
const BATCH: i64 = 100;

impl Bookings {
    /// Answers the [`ClosedMerchant`]. Its owner and staff leave, which points learns by events. Bookings ahead are
    /// cancelled in the background, and their payments given back. A repetition has no further effect.
    pub async fn close_merchant(
        &self,
        operator: Uuid,
        key: Key,
        merchant_id: Uuid,
    ) -> Result<Answer<ClosedMerchant>, Error> {
        let mut work = match command::begin(&self.db, operator, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => {
                self.cancel_in_background();
                return Ok(answer);
            }
        };

        let found = store::lock_any_merchant(&mut work, merchant_id)
            .await?
            .ok_or(Error::UnknownMerchant)?;
        let closed_at = match (found.owner_id, found.closed_at) {
            (Some(owner), _) => self.take_from(&mut work, merchant_id, owner).await?,
            (None, Some(closed_at)) => closed_at,
            (None, None) => self.clock.now(), // excluded by `merchant_closed_is_nobodys`
        };

        let closed = ClosedMerchant { merchant_id, closed_at };
        let answer = work.commit(Success::Ok, closed).await?;
        tracing::info!(merchant.id = %merchant_id, "merchant closed");
        self.cancel_in_background();
        Ok(answer)
    }

    /// Removes the owner and the staff of a merchant, with an event for each.
    async fn take_from(
        &self,
        conn: &mut PgConnection,
        merchant_id: Uuid,
        owner: Uuid,
    ) -> Result<DateTime<Utc>, Error> {
        let now = self.clock.now();
        store::close_merchant(conn, merchant_id, now).await?;
        self.unlink_all_staff(conn, merchant_id).await?;
        let membership = Membership { merchant_id, member_id: owner };
        self.publish_membership(conn, OWNER_LEFT, membership).await?;
        Ok(now)
    }

    /// Unlinks all staff of a merchant from their members, with an event for each.
    pub(super) async fn unlink_all_staff(
        &self,
        conn: &mut PgConnection,
        merchant_id: Uuid,
    ) -> Result<(), Error> {
        for member_id in store::unlink_all_staff(conn, merchant_id).await? {
            let membership = Membership { merchant_id, member_id };
            self.publish_membership(conn, STAFF_UNLINKED, membership).await?;
        }
        Ok(())
    }

    fn cancel_in_background(&self) {
        let this = self.clone();
        command::detach(async move {
            if let Err(error) = this.cancel_at_closed_merchants().await {
                tracing::warn!(%error, "bookings at a closed merchant were not cancelled; the job tries again");
            }
        });
    }

    /// Cancels the bookings ahead at closed merchants, and returns their number. Each is a transaction of its own, so
    /// an interrupted run leaves nothing behind.
    pub async fn cancel_at_closed_merchants(&self) -> Result<usize, Error> {
        let (mut total, mut after) = (0, None);
        loop {
            let mut conn = postgres::query("acquire", self.db.acquire()).await?;
            let now = self.clock.now();
            let page = store::bookings_of_closed(&mut conn, now, after, BATCH).await?;
            drop(conn);
            let Some(last) = page.last() else { return Ok(total) };
            after = Some(*last);
            for booking in page {
                match self.cancel_closed(booking).await {
                    Ok(cancelled) => total += usize::from(cancelled),
                    // The bookings behind it do not wait for it.
                    Err(error) => {
                        tracing::warn!(%error, booking.id = %booking, "booking not cancelled; the job tries again");
                    }
                }
            }
        }
    }

    /// Cancels one booking. Returns `false` when it has ended meanwhile.
    async fn cancel_closed(&self, booking: Uuid) -> Result<bool, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let found = store::lock_booking(&mut tx, booking, Access::ALL).await?;
        let ahead = |found: &Booking| matches!(found.status, Status::Held | Status::Confirmed);
        let Some(found) = found.filter(ahead) else { return Ok(false) };
        let (found, saga) = self.cancel_booking(&mut tx, found).await?;
        postgres::commit(tx).await?;
        tracing::info!(booking.id = %found.booking_id, merchant.id = %found.merchant_id, "booking cancelled with its merchant");
        if let Some(saga) = saga {
            drop(self.drive_in_background(saga));
        }
        Ok(true)
    }
}
