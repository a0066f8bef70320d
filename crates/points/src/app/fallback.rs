//! Earnings while PostgreSQL is away: kept durably in Redis, answered 202, applied once it is back.
//!
//! Only earnings, because crediting later is still right; whoever spends must know now. What is queued
//! carries its idempotency key into the ledger, so a commit whose reply was lost, a client that tried
//! again meanwhile, and two replicas that apply the queue at once make one earning all the same.

mod queue;

use kit::idempotency::{Answer, Key};
use kit::{Classify as _, Kind, command, jobs};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use uuid::Uuid;

use super::ledger::{Claim, Work};
use super::{Earn, Error, Points, Receipt};
use crate::domain::Command;
use crate::metrics;
pub(super) use queue::Queue;
use queue::{Entry, Outcome, Queued, State};

/// An earning that has been applied, or will be.
#[derive(Debug)]
pub enum Earned {
    Now(Answer),
    Later(QueuedView),
}

/// An earning that was accepted while the ledger could not be reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct QueuedView {
    pub queued_id: Uuid,
    /// `queued`, `applied` or `refused`.
    pub state: String,
    /// Where to ask what has become of it, for three days after that.
    pub status_url: String,
    /// What it did, once it is applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// Why not, when it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

impl Points {
    /// [`Points::earn`]; while the database is away, the command is kept and applied later. Its conversion
    /// rule is the one of now.
    pub async fn earn_or_queue(
        &self,
        principal: String,
        key: Key,
        earn: Earn,
    ) -> Result<Earned, Error> {
        let failed = match self.earn(principal.clone(), key.clone(), earn.clone()).await {
            Ok(answer) => return Ok(Earned::Now(answer)),
            Err(error) if error.is_outage() => error,
            Err(error) => return Err(error),
        };
        let queue = self.queue.clone();
        let queued = Queued::new(Claim { principal, key }, earn, self.clock.now());
        let id = queued.id;
        // Boxed, because it is rare and large: every earning would carry room for it.
        match Box::pin(command::run(async move { queue.push(&queued).await })).await? {
            true => Ok(Earned::Later(view(id, State::queued()))),
            false => Err(failed), // nothing was queued either
        }
    }

    /// What has become of an earning that was queued: for whoever sent it, and for operators.
    pub async fn queued(&self, id: Uuid, principal: Option<String>) -> Result<QueuedView, Error> {
        let (owner, state) = self.queue.find(id).await?.ok_or(Error::NotFound)?;
        if principal.is_some_and(|principal| principal != owner) {
            return Err(Error::NotFound);
        }
        Ok(view(id, state))
    }

    /// Applies what is queued, for ever, until `stop`, and tells how much that is.
    pub async fn apply_queued(self, stop: CancellationToken) {
        let (points, queue) = (self.clone(), self.queue.clone());
        let apply = jobs::every("apply_queued", queue::PERIOD, self.db, stop.clone(), move || {
            let points = points.clone();
            async move { Ok(points.drain().await?) }
        });
        tokio::join!(apply, queue.measure(stop));
    }

    /// Oldest first, up to the end of the queue or the next outage.
    async fn drain(&self) -> Result<(), Error> {
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
                // A panic was logged; its entry stays, and is tried again.
                one.await.unwrap_or(Ok(()))?;
            }
        }
    }

    /// Applies one entry and takes it off the queue. An error: the ledger is away again.
    async fn apply(&self, entry: Entry) -> Result<(), Error> {
        let queued = match self.queue.read(&entry) {
            Ok(queued) => queued,
            Err(why) => {
                // It stays: as evidence, or for a version that can read it.
                self.queue.tell(&entry, why);
                return Ok(());
            }
        };
        let claim = Claim { principal: queued.principal.clone(), key: queued.key() };
        let outcome = match self.apply_now(&queued, claim).await {
            Ok(answer) => Outcome::Applied(answer),
            Err(error) if error.is_outage() => return Err(error),
            // Not the command's fault: it stays, and the next run tries again.
            Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Internal) => {
                tracing::warn!(queued_id = %queued.id, %error, "a queued earning waits");
                metrics::fallback("postponed");
                return Ok(());
            }
            Err(error) => Outcome::Refused(error.code().into_owned()),
        };
        metrics::fallback(outcome.name());
        self.queue.done(&entry, &queued, &outcome).await
    }

    async fn apply_now(&self, queued: &Queued, claim: Claim) -> Result<Answer, Error> {
        let Earn { to, basis, merchant, reference, event, by, .. } = queued.earn()?;
        let rate = self.rate(merchant, &basis, queued.at).await?;
        let command = Command::Earn { to, basis, rate, merchant, reference, event, by };
        let kind = command.kind();
        let work = Work { claim: Some(claim), command };
        let answer = self.post(work).await;
        metrics::count(kind, &answer);
        answer
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
