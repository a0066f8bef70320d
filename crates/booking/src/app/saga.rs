//! Moves payments on: asks points, and commits what its answer means. Nothing here is remembered between
//! two steps but what is in the database, so whoever comes next can go on, in this process or another.

use std::time::Duration;

use futures::future::join_all;
use kit::{command, postgres};
use sqlx::PgConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::confirm::lock_with_calendars;
use super::{Bookings, By, Error};
use crate::domain::{Booking, Change, Heard, Occasion, Saga, Status, Step};
use crate::store::{self, Pause};
use crate::{metrics, peers};

/// How long whoever drives a saga has it to themselves: longer than any call to points takes.
pub(super) const LEASE: Duration = Duration::from_secs(5);

/// How often somebody looks for sagas that are due.
const POLL: Duration = Duration::from_millis(200);

/// How many are driven at the same time: half the connections of the pool.
const BATCH: i64 = 8;

/// Between attempts. Never given up, and never so seldom that a saga is open for more than a minute after
/// points is back. After 5 minutes a person should look.
const PAUSE: Pause = Pause {
    first: Duration::from_millis(250),
    most: Duration::from_secs(20),
    patience: Duration::from_secs(5 * 60),
};

/// The reason that is recorded when an answer speaks of another hold, or of other points.
const NOT_OURS: &str = "answer_does_not_match";

impl Bookings {
    /// Drives what is due, until `stop`.
    pub async fn drive_sagas(self, stop: CancellationToken) {
        let this = self.clone();
        let measure = async {
            while !stop.is_cancelled() {
                if let Ok(counts) = this.count_sagas().await {
                    metrics::sagas(counts);
                }
                let _ = stop.run_until_cancelled(sleep(Duration::from_secs(2))).await;
            }
        };
        let drive = async {
            while !stop.is_cancelled() {
                match command::tracked(self.drive_due()).await {
                    Ok(0) => {
                        let _ = stop.run_until_cancelled(sleep(POLL)).await;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(%error, "cannot look for sagas that are due");
                        let _ = stop.run_until_cancelled(sleep(5 * POLL)).await;
                    }
                }
            }
        };
        tokio::join!(measure, drive);
    }

    /// Drives the sagas that are due as far as they go now, and says how many there were.
    pub async fn drive_due(&self) -> Result<usize, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let due = store::claim_due_sagas(&mut tx, BATCH, LEASE).await?;
        postgres::commit(tx).await?;
        let driven = join_all(due.iter().map(|saga| self.drive(*saga))).await;
        for error in driven.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "a saga was not driven; it is due again later");
        }
        Ok(due.len())
    }

    /// Drives one saga to its end, or to the first step that does not succeed now.
    pub async fn drive(&self, saga: Uuid) -> Result<(), Error> {
        loop {
            let mut conn = postgres::query("acquire", self.db.acquire()).await?;
            let Some(found) = store::read_saga(&mut conn, saga).await? else { return Ok(()) };
            drop(conn);
            let Some(step) = found.next() else { return Ok(()) };
            if !self.ask(&found, step).await? {
                return Ok(());
            }
        }
    }

    /// Asks points for one step, which has one effect however often it is asked, and takes in the answer.
    /// Whether the saga moved.
    pub async fn ask(&self, saga: &Saga, step: Step) -> Result<bool, Error> {
        let grant = match step {
            Step::Hold => {
                let mut conn = postgres::query("acquire", self.db.acquire()).await?;
                store::grant_of_saga(&mut conn, saga.saga_id).await?
            }
            _ => None,
        }; // and no connection is kept: points may take its time
        match self.points.step(saga, step, grant.as_ref()).await {
            Ok(heard) => self.take_in(saga, step, &heard).await,
            Err(error) => {
                let reason = peers::reason(&error);
                tracing::warn!(saga.id = %saga.saga_id, step = step.as_str(), reason, "points did not answer");
                self.put_off(saga, step, &reason, false).await?;
                Ok(false)
            }
        }
    }

    /// Commits what an answer means. Whether the saga moved.
    pub async fn take_in(&self, asked: &Saga, step: Step, heard: &Heard) -> Result<bool, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        // Only the answer to a hold touches the booking, which is locked before its saga.
        let booking = match step {
            Step::Hold => {
                let by = By::member(asked.member_id);
                Some(lock_with_calendars(&mut tx, asked.booking_id, by, None).await?)
            }
            _ => None,
        };
        let Some(saga) = store::lock_saga(&mut tx, asked.saga_id).await? else { return Ok(false) };
        let stands = booking.as_ref().map_or(Status::Confirmed, |booking| booking.status);
        let outcome = match heard {
            Heard::Refused(why) => why,
            _ => "done",
        };
        match saga.hear(step, heard, stands) {
            Change::Nothing => Ok(false),
            Change::Stuck => {
                drop(tx);
                let outcome = if outcome == "done" { NOT_OURS } else { outcome };
                tracing::error!(saga.id = %saga.saga_id, step = step.as_str(), outcome, "saga is stuck");
                self.put_off(&saga, step, outcome, true).await?;
                Ok(false)
            }
            Change::Moves { saga: moved, booking: becomes } => {
                if let (Some(booking), Some(status)) = (booking, becomes) {
                    let (points_paid, points_value_minor) = match status {
                        Status::Confirmed => (moved.points, moved.value_minor),
                        _ => (0, 0),
                    };
                    let expires_at = None;
                    let booking =
                        Booking { status, points_paid, points_value_minor, expires_at, ..booking };
                    store::update_status(&mut tx, &booking, self.clock.now()).await?;
                    if status == Status::Confirmed {
                        self.tell_member(&mut tx, &booking, Occasion::Booked).await?;
                    }
                }
                store::update_saga(&mut tx, &moved, LEASE).await?;
                store::insert_step(&mut tx, &moved, step.as_str(), outcome).await?;
                postgres::commit(tx).await?;
                metrics::saga_moved(moved.state);
                tracing::info!(saga.id = %moved.saga_id, state = %moved.state, "saga moved");
                Ok(true)
            }
        }
    }

    async fn put_off(&self, saga: &Saga, step: Step, why: &str, stuck: bool) -> Result<(), Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let overdue = store::put_off_saga(&mut tx, saga, why, stuck, PAUSE).await?;
        store::insert_step(&mut tx, saga, step.as_str(), why).await?;
        postgres::commit(tx).await?;
        metrics::saga_failed(step);
        if overdue {
            tracing::error!(saga.id = %saga.saga_id, step = step.as_str(), why, "saga needs attention");
        }
        Ok(())
    }

    async fn count_sagas(&self) -> Result<(i64, i64, i64), Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        Ok(store::count_sagas(&mut conn).await?)
    }

    /// Lets the payment of a cancelled booking go back, in the transaction that cancels it. Which saga is
    /// to be driven then.
    pub(super) async fn take_back(
        &self,
        tx: &mut PgConnection,
        booking: &Booking,
    ) -> Result<Option<Uuid>, Error> {
        let (merchant, id) = (booking.merchant_id, booking.booking_id);
        let Some(saga) = store::lock_saga_of_booking(tx, merchant, id).await? else {
            return Ok(None);
        };
        let Some(saga) = saga.cancelled() else { return Ok(None) };
        store::update_saga(tx, &saga, LEASE).await?;
        store::insert_step(tx, &saga, "cancel", "done").await?;
        Ok(Some(saga.saga_id))
    }

    /// Drives a saga beside the request that opened it or took it back.
    pub(super) fn drive_beside(&self, saga: Uuid) -> impl Future<Output = ()> + use<> {
        let this = self.clone();
        command::run(async move {
            if let Err(error) = this.drive(saga).await {
                tracing::warn!(%error, saga.id = %saga, "a saga was not driven; it is due again later");
            }
        })
    }
}
