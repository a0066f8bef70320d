//! Drives the payments with points: asks points for the next step, and commits the effect of its answer. The states
//! and the decisions are in `domain/saga.rs`.
//!
//! ```text
//! claim_due_sagas ─► drive ─► run_step ─► points ─► apply_answer ─► the next step, or a final state
//!                                            │             └─ stuck ──► postpone: a person must look
//!                                            └─ no answer ────────────► postpone: try again later
//! ```
//!
//! Everything that a step needs is in the database, so another process can continue after each.

use std::time::Duration;

use futures::future::join_all;
use kit::{command, postgres};
use sqlx::PgConnection;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Bookings, Error};
use crate::domain::{Booking, Change, Occasion, Saga, Status, Step, StepAnswer};
use crate::store::{self, Access, Backoff, Retry};
use crate::{metrics, peers};

/// The lease of a saga for the process that drives it: longer than any call to points.
pub(super) const LEASE: Duration = Duration::from_secs(5);

/// The pause between searches for due sagas.
const POLL: Duration = Duration::from_millis(200);

/// Sagas driven at the same time: half the connections of the pool.
const BATCH: i64 = 8;

/// A saga is never given up, and never stays open for more than a minute after points is back. After 5 minutes a
/// person should look.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(20),
    patience: Duration::from_secs(5 * 60),
};

/// The outcome that is logged when an answer is about another hold, or another number of points.
const MISMATCH: &str = "answer_does_not_match";

impl Bookings {
    /// Drives due sagas until `stop`.
    pub async fn drive_sagas(self, stop: CancellationToken) -> anyhow::Result<()> {
        let measure = async {
            while !stop.is_cancelled() {
                if let Ok(counts) = self.count_sagas().await {
                    metrics::sagas(counts);
                }
                let _ = stop.run_until_cancelled(sleep(Duration::from_secs(2))).await;
            }
        };
        let drive = async {
            while !stop.is_cancelled() {
                let pause = match command::tracked(self.drive_due()).await {
                    Ok(0) => POLL,
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::warn!(%error, "search for due sagas failed");
                        5 * POLL
                    }
                };
                let _ = stop.run_until_cancelled(sleep(pause)).await;
            }
        };
        tokio::join!(measure, drive);
        Ok(())
    }

    /// Drives the sagas that are due, each as far as it goes now. Returns their number.
    pub async fn drive_due(&self) -> Result<usize, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let due = store::claim_due_sagas(&mut tx, BATCH, LEASE).await?;
        postgres::commit(tx).await?;
        let driven = join_all(due.iter().map(|saga| self.drive(*saga))).await;
        for error in driven.into_iter().filter_map(Result::err) {
            tracing::warn!(%error, "saga was not driven; it is due again later");
        }
        Ok(due.len())
    }

    /// Drives a saga in a task of its own. The receiver resolves when that ends; dropping it does not stop the saga.
    pub(super) fn drive_in_background(&self, saga: Uuid) -> oneshot::Receiver<()> {
        let (done, driven) = oneshot::channel();
        let this = self.clone();
        command::detach(async move {
            if let Err(error) = this.drive(saga).await {
                tracing::warn!(%error, saga.id = %saga, "saga was not driven; it is due again later");
            }
            let _ = done.send(());
        });
        driven
    }

    /// Drives a saga to a final state, or to the first step that fails.
    async fn drive(&self, saga: Uuid) -> Result<(), Error> {
        loop {
            let mut conn = postgres::query("acquire", self.db.acquire()).await?;
            let Some(found) = store::find_saga(&mut conn, saga).await? else { return Ok(()) };
            drop(conn);
            let Some(step) = found.next() else { return Ok(()) };
            if !self.run_step(&found, step).await? {
                return Ok(());
            }
        }
    }

    /// Asks points for one step and applies the answer. The step has one effect, however often it is asked. Returns
    /// `true` when the saga has moved.
    pub async fn run_step(&self, saga: &Saga, step: Step) -> Result<bool, Error> {
        let grant = match step {
            Step::Hold => {
                let mut conn = postgres::query("acquire", self.db.acquire()).await?;
                store::grant_of_saga(&mut conn, saga.saga_id).await?
            }
            _ => None,
        }; // the connection is back in the pool: points may be slow
        match self.points.step(saga, step, grant.as_ref()).await {
            Ok(answer) => self.apply_answer(saga, step, &answer).await,
            Err(error) => {
                let reason = peers::reason(&error);
                tracing::warn!(saga.id = %saga.saga_id, step = step.as_str(), reason, "points did not answer");
                self.postpone(saga, step, &reason, Retry::MaySucceed).await?;
                Ok(false)
            }
        }
    }

    /// Commits the effect of an answer. Returns `true` when the saga has moved.
    async fn apply_answer(
        &self,
        asked: &Saga,
        step: Step,
        answer: &StepAnswer,
    ) -> Result<bool, Error> {
        let mut tx = postgres::begin(&self.db).await?;
        // Only the answer to a hold changes the booking, which is locked before its saga.
        let booking = match step {
            Step::Hold => {
                let id = asked.booking_id;
                let found = store::lock_booking_in_calendar(&mut tx, id, Access::ALL, None).await?;
                Some(found.ok_or(Error::UnknownBooking)?)
            }
            _ => None,
        };
        let Some(saga) = store::lock_saga(&mut tx, asked.saga_id).await? else { return Ok(false) };
        let status = booking.as_ref().map_or(Status::Confirmed, |(booking, _)| booking.status);
        let refusal = match answer {
            StepAnswer::Refused(failure) => Some(failure.as_str()),
            _ => None,
        };
        match saga.apply(step, answer, status) {
            Change::Nothing => Ok(false),
            Change::Stuck => {
                drop(tx);
                let outcome = refusal.unwrap_or(MISMATCH);
                tracing::error!(saga.id = %saga.saga_id, step = step.as_str(), outcome, "saga is stuck");
                self.postpone(&saga, step, outcome, Retry::NeedsPerson).await?;
                Ok(false)
            }
            Change::Moves { saga: moved, booking: becomes } => {
                if let (Some((booking, calendar)), Some(status)) = (booking, becomes) {
                    let booking = settled(booking, status, &moved);
                    let now = self.clock.now();
                    store::update_booking(&mut tx, &calendar, &booking, now).await?;
                    if status == Status::Confirmed {
                        self.notify(&mut tx, &booking, Occasion::Booked).await?;
                    }
                }
                store::update_saga(&mut tx, &moved, LEASE).await?;
                let outcome = refusal.unwrap_or("done");
                store::insert_step(&mut tx, &moved, step.as_str(), outcome).await?;
                postgres::commit(tx).await?;
                metrics::saga_moved(moved.state);
                tracing::info!(saga.id = %moved.saga_id, state = %moved.state, "saga moved");
                Ok(true)
            }
        }
    }

    /// Records a failed step, and schedules the next attempt.
    async fn postpone(
        &self,
        saga: &Saga,
        step: Step,
        reason: &str,
        retry: Retry,
    ) -> Result<(), Error> {
        let mut tx = postgres::begin(&self.db).await?;
        let needs_person = store::postpone_saga(&mut tx, saga, reason, retry, BACKOFF).await?;
        store::insert_step(&mut tx, saga, step.as_str(), reason).await?;
        postgres::commit(tx).await?;
        metrics::saga_failed(step);
        if needs_person {
            tracing::error!(saga.id = %saga.saga_id, step = step.as_str(), why = reason, "saga needs attention");
        }
        Ok(())
    }

    async fn count_sagas(&self) -> Result<(i64, i64, i64), Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        Ok(store::count_sagas(&mut conn).await?)
    }

    /// Takes back the payment of a cancelled booking, in the transaction that cancels it. Returns the saga to drive
    /// after the commit.
    pub(super) async fn cancel_payment(
        &self,
        conn: &mut PgConnection,
        booking: &Booking,
    ) -> Result<Option<Uuid>, Error> {
        let (merchant, booking) = (booking.merchant_id, booking.booking_id);
        let Some(id) = store::saga_of_booking(conn, merchant, booking).await? else {
            return Ok(None);
        };
        let saga = store::lock_saga(conn, id).await?;
        let Some(saga) = saga.and_then(|saga| saga.cancelled()) else { return Ok(None) };
        store::update_saga(conn, &saga, LEASE).await?;
        store::insert_step(conn, &saga, "cancel", "done").await?;
        Ok(Some(id))
    }
}

/// Returns the booking after the answer to the hold of points.
fn settled(booking: Booking, status: Status, saga: &Saga) -> Booking {
    let (points_paid, points_value_minor) = match status {
        Status::Confirmed => (saga.points, saga.value_minor),
        _ => (0, 0),
    };
    Booking { status, points_paid, points_value_minor, expires_at: None, ..booking }
}
