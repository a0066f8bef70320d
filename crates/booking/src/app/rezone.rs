//! Keeps appointments on the wall clock that they were promised on.

use chrono::{DateTime, NaiveDateTime, Utc};
use kit::{command, postgres};
use uuid::Uuid;

use super::confirm::lock_with_calendars;
use super::{Bookings, By, Error};
use crate::domain::{Booking, Kept, Promise, Rules, Status, TimeZone, in_order};
use crate::{metrics, store};

/// The bookings that are read at once.
const BATCH: i64 = 1000;

/// The effect of a change of a zone's rules on the bookings ahead.
#[derive(Debug, Default)]
pub struct Rezoned {
    /// The number of bookings that were looked at.
    pub seen: usize,
    /// Those whose instant is to change; with `apply` it has.
    pub moved: Vec<Moved>,
    /// Those that a person has to look at, and why.
    pub unmended: Vec<(Uuid, Unmended)>,
}

/// A booking whose instant changes, and whose local time does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    pub booking_id: Uuid,
    pub wall_start: NaiveDateTime,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// The reason that a booking is not mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmended {
    #[error("the clock skips its local time")]
    Skipped,
    #[error("its time is taken by another booking")]
    Taken,
}

impl Bookings {
    /// Finds what is booked from now on at a local time that is another instant under these rules, and with
    /// `apply` moves it there. Members need not be told: their local time is what it was.
    pub async fn rezone(&self, rules: Rules<'_>, apply: bool) -> Result<Rezoned, Error> {
        self.record_wall_times().await?;
        let mut found = Rezoned::default();
        let mut moves = Vec::new();
        let mut after = None;
        loop {
            let mut conn = postgres::query("acquire", self.db.acquire()).await?;
            let page = store::promises(&mut conn, self.clock.now(), after, BATCH).await?;
            drop(conn);
            let Some(last) = page.last() else { break };
            after = Some((last.starts_at, last.booking_id));
            found.seen += page.len();
            for promise in page {
                match promise.kept(rules) {
                    Kept::Still => {}
                    Kept::At(instant) => moves.push((promise, instant)),
                    Kept::Never => found.unmended.push((promise.booking_id, Unmended::Skipped)),
                }
            }
        }
        in_order(&mut moves);
        for (promise, to) in moves {
            if !apply || self.mend(promise, to).await? {
                let Promise { booking_id, wall_start, starts_at: from, .. } = promise;
                found.moved.push(Moved { booking_id, wall_start, from, to });
            } else {
                found.unmended.push((promise.booking_id, Unmended::Taken));
            }
        }
        Ok(found)
    }

    /// Moves one booking, unless somebody has changed it meanwhile. False when its time is taken.
    async fn mend(&self, promise: Promise, to: DateTime<Utc>) -> Result<bool, Error> {
        let this = self.clone();
        command::run(async move {
            let mut tx = postgres::begin(&this.db).await?;
            let member = store::member_of_booking(&mut tx, promise.booking_id).await?;
            let Some(member) = member else { return Ok(true) };
            let by = By::member(member);
            let found = lock_with_calendars(&mut tx, promise.booking_id, by, None).await?;
            let had = found.starts_at;
            let ends_at = to + (found.ends_at - found.starts_at);
            let booking = Booking { starts_at: to, ends_at, ..found };
            let (merchant, staff) = (booking.merchant_id, booking.staff_id);
            let over = store::expire_holds(&mut tx, merchant, staff, booking.occupied()).await?;
            // It may itself be a hold that was over.
            let found = store::lock_booking(&mut tx, promise.booking_id, by).await?;
            let status = found.map_or(Status::Expired, |found| found.status);
            let ahead = matches!(status, Status::Held | Status::Confirmed);
            if !ahead || had != promise.starts_at {
                return Ok(true);
            }
            let moved = store::mend_time(&mut tx, &booking, promise.starts_at, this.clock.now());
            match moved.await {
                Err(error) if postgres::constraint(&error) == Some("no_overlap_bookings") => {
                    return Ok(false);
                }
                moved => moved?,
            }
            postgres::commit(tx).await?;
            metrics::expired(over);
            tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, "moved with its clock");
            Ok(true)
        })
        .await
    }

    /// Records the local time of bookings that an older version has written, and says how many.
    pub async fn record_wall_times(&self) -> Result<usize, Error> {
        let mut total = 0;
        loop {
            let mut tx = postgres::begin(&self.db).await?;
            let unrecorded = store::unrecorded(&mut tx, BATCH).await?;
            for (booking_id, starts_at, zone) in &unrecorded {
                store::record_wall_time(&mut tx, *booking_id, *starts_at, *zone).await?;
            }
            postgres::commit(tx).await?;
            total += unrecorded.len();
            if unrecorded.is_empty() {
                return Ok(total);
            }
        }
    }

    /// [`Self::rezone`] by the rules that this program was built with, told to whoever runs it.
    pub async fn rezone_by_the_book(&self, apply: bool) -> anyhow::Result<()> {
        let found = self.rezone(&TimeZone::instants, apply).await?;
        for moved in &found.moved {
            let Moved { booking_id, wall_start, from, to } = moved;
            tracing::info!(booking.id = %booking_id, %wall_start, %from, %to, applied = apply, "local time moved");
        }
        for (booking, why) in &found.unmended {
            tracing::warn!(booking.id = %booking, %why, "a person has to look at this booking");
        }
        let (moved, unmended) = (found.moved.len(), found.unmended.len());
        tracing::info!(seen = found.seen, moved, unmended, applied = apply, "rezone is done");
        Ok(())
    }
}
