//! The messages to members: queued in the transaction of their cause, and sent by LINE in the background.

use std::time::Duration;

use futures::future::join_all;
use kit::{command, postgres};
use sqlx::PgConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Bookings;
use crate::domain::{Booking, Delivery, Occasion};
use crate::metrics;
use crate::peers::{Line, Pace, Push, Pushed};
use crate::store::{self, Due};

/// The pause between searches for due messages.
const POLL: Duration = Duration::from_millis(200);

/// Messages sent at the same time. At 100 ms each that is more than the pace allows.
const BATCH: i64 = 64;

/// The lease of a message: longer than a turn and an answer together.
const LEASE: Duration = Duration::from_secs(30);

/// The pause of a message that got no turn.
const NO_TURN: Duration = Duration::from_secs(1);

/// Reminders queued in one transaction.
const REMINDERS: i64 = 500;

/// The result of an attempt to send a message.
enum Attempt {
    Sent,
    Failed(String),
    /// The message is not current any more.
    Superseded,
    Retry(String),
    /// LINE was not called.
    NotTried(Duration),
}

impl Bookings {
    /// Queues a message about a booking, in the transaction that changes it.
    pub(super) async fn notify(
        &self,
        conn: &mut PgConnection,
        booking: &Booking,
        occasion: Occasion,
    ) -> sqlx::Result<()> {
        store::insert_notification(conn, self.clock.id(), booking, occasion).await
    }

    /// Queues a message that replaces the pending ones about the booking.
    pub(super) async fn notify_instead(
        &self,
        conn: &mut PgConnection,
        booking: &Booking,
        occasion: Occasion,
    ) -> sqlx::Result<()> {
        store::drop_notifications(conn, booking).await?;
        self.notify(conn, booking, occasion).await
    }

    /// Queues the reminders of the next day's bookings, and returns their number. An interrupted run leaves nothing
    /// behind.
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

    /// Sends due messages until `stop`.
    pub async fn send_notifications(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Some((line, pace)) = &self.line else { return Ok(()) };
        let measure = async {
            while !stop.is_cancelled() {
                if let Ok(waiting) = self.count_notifications().await {
                    metrics::waiting(waiting);
                }
                let _ = stop.run_until_cancelled(sleep(Duration::from_secs(2))).await;
            }
        };
        let send = async {
            while !stop.is_cancelled() {
                let pause = match command::tracked(self.send_due(line, pace)).await {
                    Ok(0) => POLL,
                    Ok(_) => continue,
                    Err(error) => {
                        tracing::warn!(%error, "search for due messages failed");
                        5 * POLL
                    }
                };
                let _ = stop.run_until_cancelled(sleep(pause)).await;
            }
        };
        tokio::join!(measure, send);
        Ok(())
    }

    /// Sends a batch of due messages, of each booking the first, and returns its size.
    pub async fn send_due(&self, line: &Line, pace: &Pace) -> sqlx::Result<usize> {
        let mut tx = postgres::begin(&self.db).await?;
        let due = store::claim_notifications(&mut tx, BATCH, LEASE).await?;
        postgres::commit(tx).await?;
        let sent = join_all(due.iter().map(|due| async {
            let attempt = self.send(due, line, pace).await;
            self.record(due, attempt).await
        }));
        for error in sent.await.into_iter().filter_map(Result::err) {
            // The message is tried again with the same retry key, so LINE does not send it twice.
            tracing::warn!(%error, "delivery of a message was not recorded");
        }
        Ok(due.len())
    }

    async fn send(&self, due: &Due, line: &Line, pace: &Pace) -> Attempt {
        let failed = |reason: &str| Attempt::Failed(reason.to_owned());
        let (Some(sealed), Some(to)) = (&due.channel_token, &due.line_user_id) else {
            return failed("not_connected");
        };
        let (Ok(occasion), Ok(zone)) = (due.kind.parse::<Occasion>(), due.time_zone.parse()) else {
            return failed("unreadable");
        };
        let status = due.status.as_deref().map(str::parse).transpose();
        let Ok(status) = status else { return failed("unreadable") };
        if !occasion.is_current(due.starts_at, status.zip(due.starts_now)) {
            return Attempt::Superseded;
        }
        if due.is_too_old {
            return failed("gave_up");
        }
        if occasion == Occasion::Reminder && due.starts_at <= self.clock.now() {
            return failed("too_late");
        }
        let Some(Ok(token)) = self.seal.as_ref().map(|seal| seal.open(due.merchant_id, sealed))
        else {
            return Attempt::Retry("token_unreadable".to_owned());
        };
        let Some(wait) = pace.turn().await else { return Attempt::NotTried(NO_TURN) };
        sleep(wait).await;
        let text = occasion.text(&due.merchant, due.starts_at, zone);
        let push = Push { token: &token, retry_key: due.notification_id, to, text: &text };
        match line.push(push).await {
            Pushed::Sent => Attempt::Sent,
            Pushed::Refused(reason) => Attempt::Failed(reason),
            Pushed::Failed(reason) => Attempt::Retry(reason),
            Pushed::NotTried(pause) => Attempt::NotTried(pause),
        }
    }

    async fn record(&self, due: &Due, attempt: Attempt) -> sqlx::Result<()> {
        let mut tx = postgres::begin(&self.db).await?;
        let (delivery, reason) = match &attempt {
            Attempt::Sent => (Some(Delivery::Sent), None),
            Attempt::Failed(reason) => (Some(Delivery::Failed), Some(reason.as_str())),
            Attempt::Superseded => (Some(Delivery::Dropped), Some("superseded")),
            Attempt::Retry(reason) => {
                store::put_off_notification(&mut tx, due, reason).await?;
                (Some(Delivery::Retried), Some(reason.as_str()))
            }
            Attempt::NotTried(pause) => {
                store::return_notification(&mut tx, due, *pause).await?;
                (None, None)
            }
        };
        if let Some(delivery) = delivery.filter(|delivery| *delivery != Delivery::Retried) {
            store::settle_notification(&mut tx, due, delivery, reason).await?;
        }
        postgres::commit(tx).await?;
        if let Some(delivery) = delivery {
            metrics::delivered(&due.kind, delivery);
        }
        if let Attempt::Failed(reason) | Attempt::Retry(reason) = &attempt {
            tracing::warn!(notification.id = %due.notification_id, merchant.id = %due.merchant_id, reason, "message not sent");
        }
        Ok(())
    }

    async fn count_notifications(&self) -> sqlx::Result<(i64, i64)> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        store::count_notifications(&mut conn).await
    }
}
