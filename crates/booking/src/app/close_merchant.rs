//! The end of a merchant, which only an operator decides.

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::belonging::{Belonging, OWNER_LEFT, STAFF_UNLINKED};
use super::{Bookings, By, Error};
use crate::domain::{Booking, Status};
use crate::store;

/// The bookings that are looked for at once.
const BATCH: i64 = 100;

/// A merchant that takes no booking any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClosedMerchant {
    pub merchant_id: Uuid,
    pub closed_at: DateTime<Utc>,
}

impl Bookings {
    /// 200 with the [`ClosedMerchant`]. It belongs to nobody from now on, and points is told; the bookings that
    /// members have ahead of them are cancelled, and what they paid is given back. Closing it twice is closing it
    /// once.
    pub async fn close_merchant(
        &self,
        operator: Uuid,
        key: Key,
        merchant: Uuid,
    ) -> Result<Answer, Error> {
        let this = self.clone();
        let answer =
            command::run(async move { this.end_merchant(operator, &key, merchant).await }).await?;
        let this = self.clone();
        command::detach(async move {
            if let Err(error) = this.empty_closed().await {
                tracing::warn!(%error, "a closed merchant was not emptied; the job does it");
            }
        });
        Ok(answer)
    }

    async fn end_merchant(
        &self,
        operator: Uuid,
        key: &Key,
        merchant_id: Uuid,
    ) -> Result<Answer, Error> {
        let principal = operator.to_string();
        let mut tx = postgres::begin(&self.db).await?;
        if let Some(answer) = idempotency::claim(&mut tx, &principal, key).await? {
            return Ok(answer);
        }
        let found = store::lock_any_merchant(&mut tx, merchant_id).await?;
        let found = found.ok_or(Error::UnknownMerchant)?;
        let closed_at = match (found.owner_id, found.closed_at) {
            (Some(owner), _) => self.take_from(&mut tx, merchant_id, owner).await?,
            (None, Some(closed_at)) => closed_at,
            (None, None) => self.clock.now(), // `merchant_closed_is_nobodys` says that there is none
        };
        let answer = Answer::json(StatusCode::OK, &ClosedMerchant { merchant_id, closed_at });
        idempotency::record(&mut tx, &principal, key, &answer).await?;
        postgres::commit(tx).await?;
        tracing::info!(merchant.id = %merchant_id, "merchant closed");
        Ok(answer)
    }

    /// Takes the merchant from its owner and its staff, and tells of each.
    async fn take_from(
        &self,
        tx: &mut PgConnection,
        merchant_id: Uuid,
        owner: Uuid,
    ) -> Result<DateTime<Utc>, Error> {
        let now = self.clock.now();
        store::close_merchant(tx, merchant_id, now).await?;
        self.unlink_everybody(tx, merchant_id).await?;
        let belonging = Belonging { merchant_id, member_id: owner };
        self.tell_belonging(tx, OWNER_LEFT, belonging).await?;
        Ok(now)
    }

    /// Nobody signs in as staff of this merchant any more; tells of each.
    pub(super) async fn unlink_everybody(
        &self,
        tx: &mut PgConnection,
        merchant_id: Uuid,
    ) -> Result<(), Error> {
        for member_id in store::unlink_all_staff(tx, merchant_id).await? {
            self.tell_belonging(tx, STAFF_UNLINKED, Belonging { merchant_id, member_id }).await?;
        }
        Ok(())
    }

    /// Cancels what members have ahead of them at closed merchants, and says how many. Can stop and go on
    /// anywhere: each is a transaction of its own.
    pub async fn empty_closed(&self) -> Result<usize, Error> {
        let (mut total, mut after) = (0, None);
        loop {
            let mut conn = postgres::query("acquire", self.db.acquire()).await?;
            let now = self.clock.now();
            let page = store::bookings_of_closed(&mut conn, now, after, BATCH).await?;
            drop(conn);
            let Some((last, _)) = page.last() else { return Ok(total) };
            after = Some(*last);
            for (booking, member) in page {
                match self.end_booking(booking, member).await {
                    Ok(ended) => total += usize::from(ended),
                    // Those behind it do not wait for it.
                    Err(error) => {
                        tracing::warn!(%error, booking.id = %booking, "not cancelled; the job tries again");
                    }
                }
            }
        }
    }

    /// Cancels one booking. False when it was not ahead any more.
    async fn end_booking(&self, booking: Uuid, member: Uuid) -> Result<bool, Error> {
        let this = self.clone();
        command::run(async move {
            let mut tx = postgres::begin(&this.db).await?;
            let found = store::lock_booking(&mut tx, booking, By::member(member)).await?;
            let ahead = |found: &Booking| matches!(found.status, Status::Held | Status::Confirmed);
            let Some(found) = found.filter(ahead) else { return Ok(false) };
            let (found, payment) = this.call_off(&mut tx, found).await?;
            postgres::commit(tx).await?;
            tracing::info!(booking.id = %found.booking_id, merchant.id = %found.merchant_id, "cancelled with its merchant");
            if let Some(saga) = payment {
                command::detach(this.drive_beside(saga));
            }
            Ok(true)
        })
        .await
    }
}
