//! Keeps appointments at their promised wall-clock time when the rules of a time zone change.

use chrono::{DateTime, NaiveDateTime, Utc};
use kit::postgres;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Booking, Kept, Promise, Rules, Status, TimeZone, in_order};
use crate::metrics;
use crate::store::{self, Access};

/// Bookings read at once.
const BATCH: i64 = 1000;

/// The choice to change bookings, or only to report them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rezone {
    Report,
    Apply,
}

/// The effect of changed rules on the bookings ahead.
#[derive(Debug, Default)]
pub struct Rezoned {
    /// Number of bookings that were checked.
    pub seen: usize,
    /// Bookings whose instant changes; with [`Rezone::Apply`] it has changed.
    pub moved: Vec<Moved>,
    /// Bookings that a person must look at, with the reason.
    pub unmended: Vec<(Uuid, Unmended)>,
}

/// A booking whose instant changes while its wall-clock time stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    pub booking_id: Uuid,
    pub wall_start: NaiveDateTime,
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

/// The reason that a booking could not be moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmended {
    #[error("the clock skips its local time")]
    Skipped,
    #[error("another booking occupies its time")]
    Taken,
}

impl Bookings {
    /// Finds the bookings ahead whose wall-clock time is another instant under these rules, and moves them with
    /// [`Rezone::Apply`]. Members get no message, because their local time is unchanged.
    pub async fn rezone(&self, rules: Rules<'_>, rezone: Rezone) -> Result<Rezoned, Error> {
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
            if rezone == Rezone::Report || self.mend(promise, to).await? {
                let Promise { booking_id, wall_start, starts_at: from, .. } = promise;
                found.moved.push(Moved { booking_id, wall_start, from, to });
            } else {
                found.unmended.push((promise.booking_id, Unmended::Taken));
            }
        }
        Ok(found)
    }

    /// Moves one booking, unless it has changed meanwhile. Returns `false` when its new time is occupied.
    async fn mend(&self, promise: Promise, to: DateTime<Utc>) -> Result<bool, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let id = promise.booking_id;
        let found = store::lock_booking_in_calendar(&mut tx, id, Access::ALL, None).await?;
        let Some((found, calendar)) = found else { return Ok(true) };
        let had = found.starts_at;
        let ends_at = to + (found.ends_at - found.starts_at);
        let booking = Booking { starts_at: to, ends_at, ..found };
        let (merchant, staff) = (booking.merchant_id, booking.staff_id);
        let expired = store::expire_holds(&mut tx, merchant, staff, booking.occupied()).await?;
        // The booking may itself be one of these holds.
        let status = store::find_booking(&mut tx, id, Access::ALL)
            .await?
            .map_or(Status::Expired, |found| found.status);
        let ahead = matches!(status, Status::Held | Status::Confirmed);
        if !ahead || had != promise.starts_at {
            return Ok(true);
        }
        let now = self.clock.now();
        match store::mend_time(&mut tx, &calendar, &booking, promise.starts_at, now).await {
            Err(error) if postgres::constraint(&error) == Some("no_overlap_bookings") => {
                return Ok(false);
            }
            moved => moved?,
        }
        postgres::commit(tx).await?;
        metrics::expired(expired);
        tracing::info!(booking.id = %id, merchant.id = %merchant, "booking moved with its clock");
        Ok(true)
    }

    /// Records the wall-clock time of bookings that were written without it, and returns their number.
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

    /// Runs [`Self::rezone`] by the rules of this build, and logs the result.
    pub async fn rezone_and_log(&self, rezone: Rezone) -> anyhow::Result<()> {
        let found = self.rezone(&TimeZone::instants, rezone).await?;
        let applied = rezone == Rezone::Apply;
        for moved in &found.moved {
            let Moved { booking_id, wall_start, from, to } = moved;
            tracing::info!(booking.id = %booking_id, %wall_start, %from, %to, applied, "local time moved");
        }
        for (booking, why) in &found.unmended {
            tracing::warn!(booking.id = %booking, %why, "a person must look at this booking");
        }
        let (moved, unmended) = (found.moved.len(), found.unmended.len());
        tracing::info!(seen = found.seen, moved, unmended, applied, "rezone done");
        Ok(())
    }
}
