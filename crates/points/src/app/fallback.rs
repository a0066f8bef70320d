//! Earnings while PostgreSQL is away: stored durably in Redis, answered with "queued", applied later.
//!
//! Only earnings are queued, because a late credit is still right; a member who spends must know at once. A queued
//! earning carries its idempotency key into the ledger, so a commit whose reply was lost, a client that tried
//! again meanwhile, and two replicas that apply the queue at once still make one earning.

mod queue;

use kit::command::Answer;
use kit::idempotency::Key;
use kit::{Classify as _, Kind};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Points;
use crate::domain::command::Earn;
use crate::domain::{Command, Refused};
use crate::error::Error;
use crate::ledger::{Claim, LedgerAnswer};
use crate::metrics;
use crate::view::{QueuedView, Receipt};
pub(super) use queue::Queue;
use queue::{Outcome, QueueEntry, QueuedEarning, State};

/// An accepted earning.
#[derive(Debug)]
pub enum Earning {
    Applied(Answer<Receipt>),
    Queued(QueuedView),
}

impl Points {
    /// [`Points::earn`]. While the database is away, the earning is queued and applied later, by the conversion
    /// rule of now.
    pub async fn earn_or_queue(
        &self,
        principal: String,
        key: Key,
        earn: Earn,
    ) -> Result<Earning, Error> {
        let failed = match self.earn(principal.clone(), key.clone(), earn.clone(), None).await {
            Ok(answer) => return Ok(Earning::Applied(answer)),
            Err(error) if error.is_outage() => error,
            Err(error) => return Err(error),
        };
        let queued = QueuedEarning::new(Claim { principal, key }, earn, self.clock.now());
        // Boxed, because it is rare and large: every earning would carry room for it.
        match Box::pin(self.queue.push(&queued)).await? {
            true => Ok(Earning::Queued(view(queued.id, State::queued()))),
            false => Err(failed), // the queue did not take it
        }
    }

    /// The state of a queued earning, for its sender and for operators.
    pub async fn queued(&self, id: Uuid, principal: Option<String>) -> Result<QueuedView, Error> {
        let missing = Refused::NotFound("queued earning");
        let (owner, state) = self.queue.find(id).await?.ok_or(missing)?;
        if principal.is_some_and(|principal| principal != owner) {
            return Err(missing.into());
        }
        Ok(view(id, state))
    }

    /// Keeps the gauges of the queue until `stop`.
    pub async fn measure_queue(&self, stop: CancellationToken) {
        self.queue.measure(stop).await;
    }

    /// Applies the queued earnings, oldest first, up to the end of the queue or the next outage.
    pub async fn apply_queued(&self) -> Result<(), Error> {
        let mut after = "-".to_owned();
        loop {
            let entries = self.queue.page(&after).await?;
            let Some(last) = entries.last() else { return Ok(()) };
            after = format!("({}", last.position);
            let mut applied = Vec::with_capacity(entries.len());
            for entry in entries {
                let points = self.clone();
                applied.push(tokio::spawn(async move { points.apply(entry).await }));
            }
            for one in applied {
                // A panic was logged. Its entry stays, and is tried again.
                one.await.unwrap_or(Ok(()))?;
            }
        }
    }

    /// Applies one entry and removes it from the queue. An error means that the ledger is away again.
    async fn apply(&self, entry: QueueEntry) -> Result<(), Error> {
        let queued = match self.queue.read(&entry) {
            Ok(queued) => queued,
            Err(reason) => {
                // It stays, as evidence or for a version that can read it.
                self.queue.report(&entry, reason);
                return Ok(());
            }
        };
        let outcome = match self.apply_now(&queued).await {
            Ok(answer) => Outcome::Applied(answer.into_receipt().into_value().ok()),
            Err(error) if error.is_outage() => return Err(error),
            // The command is not at fault: it stays, and the next run tries again.
            Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Internal) => {
                tracing::warn!(queued_id = %queued.id, %error, "a queued earning could not be applied");
                metrics::fallback("postponed");
                return Ok(());
            }
            Err(error) => Outcome::Refused(error.code().into_owned()),
        };
        metrics::fallback(outcome.name());
        self.queue.done(&entry, &queued, &outcome).await
    }

    async fn apply_now(&self, queued: &QueuedEarning) -> Result<LedgerAnswer, Error> {
        let earn = queued.earn()?;
        let rate = self.rate(earn.merchant, &earn.basis, queued.at).await?;
        let command = Command::Earn(Earn { rate, ..earn });
        self.run(queued.principal.clone(), queued.key(), command).await
    }
}

fn view(id: Uuid, state: State) -> QueuedView {
    QueuedView {
        queued_id: id,
        status_url: format!("/v1/queued/{id}"),
        receipt: state.receipt,
        code: state.code,
        state: state.state,
    }
}
