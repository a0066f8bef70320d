//! Tells members by LINE what was written into the log with what it tells.

use std::time::Duration;

use futures::future::join_all;
use kit::{command, postgres};
use sqlx::PgConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Bookings;
use crate::domain::{Booking, Occasion};
use crate::metrics::{self, Told};
use crate::peers::{Line, Pace, Push, Pushed};
use crate::store::{self, Due};

/// How often somebody looks for messages that are due.
const POLL: Duration = Duration::from_millis(200);

/// How many are sent at the same time. At 100 ms each that is more than the pace allows.
const BATCH: i64 = 64;

/// Longer than a turn and an answer together may take.
const LEASE: Duration = Duration::from_secs(30);

/// How long what had no turn waits for the next.
const NO_TURN: Duration = Duration::from_secs(1);

/// How many reminders one transaction writes.
const REMINDERS: i64 = 500;

/// What to do with a message after it was tried.
enum Verdict {
    Sent,
    Failed(String),
    /// It is not true any more.
    Untrue,
    Later(String),
    NotTried(Duration),
}

impl Bookings {
    /// Queues a message in the transaction of what it tells.
    pub(super) async fn tell_member(
        &self,
        tx: &mut PgConnection,
        booking: &Booking,
        occasion: Occasion,
    ) -> sqlx::Result<()> {
        store::insert_notification(tx, self.clock.id(), booking, occasion).await
    }

    /// The same, in the place of what was to be told and is not true any more.
    pub(super) async fn tell_instead(
        &self,
        tx: &mut PgConnection,
        booking: &Booking,
        occasion: Occasion,
    ) -> sqlx::Result<()> {
        store::drop_notifications(tx, booking).await?;
        self.tell_member(tx, booking, occasion).await
    }

    /// Queues the reminders of the next day's bookings, and says how many. Can stop and go on anywhere.
    pub async fn remind(&self) -> sqlx::Result<u64> {
        let mut total = 0;
        loop {
            let mut tx = postgres::begin(&self.db).await?;
            let queued = store::insert_reminders(&mut tx, self.clock.now(), REMINDERS).await?;
            postgres::commit(tx).await?;
            total += queued;
            if queued < REMINDERS.unsigned_abs() {
                return Ok(total);
            }
        }
    }

    /// Sends what is due, until `stop`.
    pub async fn send_notifications(self, (line, pace): (Line, Pace), stop: CancellationToken) {
        let this = self.clone();
        let measure = async {
            while !stop.is_cancelled() {
                if let Ok(waiting) = this.count_notifications().await {
                    metrics::waiting(waiting);
                }
                let _ = stop.run_until_cancelled(sleep(Duration::from_secs(2))).await;
            }
        };
        let send = async {
            while !stop.is_cancelled() {
                let pause = match command::tracked(self.send_due(&line, &pace)).await {
                    Ok(0) => POLL,
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::warn!(%error, "cannot look for messages that are due");
                        5 * POLL
                    }
                };
                let _ = stop.run_until_cancelled(sleep(pause)).await;
            }
        };
        tokio::join!(measure, send);
    }

    /// Sends a batch of what is due, of each booking the first, and says how many there were.
    pub async fn send_due(&self, line: &Line, pace: &Pace) -> sqlx::Result<usize> {
        let mut tx = postgres::begin(&self.db).await?;
        let due = store::claim_notifications(&mut tx, BATCH, LEASE).await?;
        postgres::commit(tx).await?;
        let sent = join_all(due.iter().map(|due| async {
            let verdict = self.send(due, line, pace).await;
            self.record(due, verdict).await
        }));
        for error in sent.await.into_iter().filter_map(Result::err) {
            // It is sent again with the same retry key, and so not twice.
            tracing::warn!(%error, "how a message went was not recorded");
        }
        Ok(due.len())
    }

    async fn send(&self, due: &Due, line: &Line, pace: &Pace) -> Verdict {
        let failed = |reason: &str| Verdict::Failed(reason.to_owned());
        let (Some(sealed), Some(to)) = (&due.channel_token, &due.line_user_id) else {
            return failed("not_connected");
        };
        let (Ok(occasion), Ok(zone)) = (due.kind.parse::<Occasion>(), due.time_zone.parse()) else {
            return failed("unreadable");
        };
        let status = due.status.as_deref().map(str::parse).transpose();
        let Ok(status) = status else { return failed("unreadable") };
        if !occasion.is_true(due.starts_at, status.zip(due.starts_now)) {
            return Verdict::Untrue;
        }
        if due.is_too_old {
            return failed("gave_up");
        }
        if occasion == Occasion::Reminder && due.starts_at <= self.clock.now() {
            return failed("too_late");
        }
        let Some(Ok(token)) = self.seal.as_ref().map(|seal| seal.open(due.merchant_id, sealed))
        else {
            return Verdict::Later("token_unreadable".to_owned());
        };
        let Some(wait) = pace.turn().await else { return Verdict::NotTried(NO_TURN) };
        sleep(wait).await;
        let text = occasion.text(&due.merchant, due.starts_at, zone);
        let push = Push { token: &token, retry_key: due.notification_id, to, text: &text };
        match line.push(push).await {
            Pushed::Sent => Verdict::Sent,
            Pushed::Refused(reason) => Verdict::Failed(reason),
            Pushed::Failed(reason) => Verdict::Later(reason),
            Pushed::NotTried(pause) => Verdict::NotTried(pause),
        }
    }

    async fn record(&self, due: &Due, verdict: Verdict) -> sqlx::Result<()> {
        let mut tx = postgres::begin(&self.db).await?;
        let told = match &verdict {
            Verdict::Sent => {
                store::settle_notification(&mut tx, due, "sent", None).await?;
                Some(Told::Sent)
            }
            Verdict::Failed(reason) => {
                store::settle_notification(&mut tx, due, "failed", Some(reason)).await?;
                Some(Told::Failed)
            }
            Verdict::Untrue => {
                let reason = Some("superseded");
                store::settle_notification(&mut tx, due, "dropped", reason).await?;
                Some(Told::Dropped)
            }
            Verdict::Later(reason) => {
                store::put_off_notification(&mut tx, due, reason).await?;
                Some(Told::Retried)
            }
            Verdict::NotTried(pause) => {
                store::return_notification(&mut tx, due, *pause).await?;
                None
            }
        };
        postgres::commit(tx).await?;
        if let Some(told) = told {
            metrics::told(&due.kind, told);
        }
        if let Verdict::Failed(reason) | Verdict::Later(reason) = &verdict {
            tracing::warn!(notification.id = %due.notification_id, merchant.id = %due.merchant_id, reason, "message not sent");
        }
        Ok(())
    }

    async fn count_notifications(&self) -> sqlx::Result<(i64, i64)> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::count_notifications(&mut conn).await
    }
}
