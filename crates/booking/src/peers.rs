//! The services that booking calls, each behind a trait with what booking needs of it.

mod line;
mod pace;
mod points;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use kit::outbox::{self, Deliver, Event};
use kit::redis::Redis;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::async_trait;
use uuid::Uuid;

pub use self::line::Line;
pub(crate) use self::line::{Push, Pushed};
pub use self::pace::Pace;
pub use self::points::PointsOverGrpc;
pub(crate) use self::points::reason;
use crate::app::{
    BOOKING_COMPLETED, Belonging, BookingCompleted, Bookings, MERCHANT_REGISTERED, STAFF_LINKED,
    STAFF_UNLINKED,
};
use crate::config;
use crate::domain::{Heard, Saga, Step};

/// The points ledger.
#[async_trait]
pub trait Points: Send + Sync + 'static {
    /// Credits a member for what they paid. The same key has one effect, however often it is used.
    async fn earn(&self, purchase: Purchase) -> anyhow::Result<()>;

    /// Tells who may act for a merchant from now on, or no more. The same event has one effect.
    async fn belongs(&self, news: News) -> anyhow::Result<()>;

    /// One step of a payment. It has one effect, however often and in whatever order the steps of a saga
    /// are asked. An error says nothing about the effect: ask again.
    async fn step(&self, saga: &Saga, step: Step) -> anyhow::Result<Heard>;
}

/// What a member is to a merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// The event that says so.
    pub event: Uuid,
    pub belonging: Belonging,
    pub is: Is,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    Owner,
    Staff,
    StaffNoMore,
}

/// What a member paid for a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    pub key: Uuid,
    pub member_id: Uuid,
    pub merchant_id: Uuid,
    /// In minor units, without what points paid; at least 1.
    pub minor: i64,
    pub reference: String,
    /// Of `minor`; the ledger's own when absent.
    pub currency: Option<String>,
    /// When it was paid; when the ledger hears of it when absent.
    pub occurred_at: Option<DateTime<Utc>>,
}

/// Delivers our events until `stop`, and survives a panic.
pub async fn deliver(db: PgPool, points: Arc<dyn Points>, stop: CancellationToken) {
    let relay = || async {
        outbox::relay(db.clone(), ToPoints(points.clone()), stop.clone()).await;
        Ok(())
    };
    observability::task::supervise("outbox", stop.clone(), relay).await;
}

/// Everything we tell, we tell points: a completed booking earns, and it knows who belongs to whom.
struct ToPoints(Arc<dyn Points>);

impl Deliver for ToPoints {
    async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        match event.kind.as_str() {
            BOOKING_COMPLETED => self.completed(event).await,
            MERCHANT_REGISTERED => self.belongs(event, Is::Owner).await,
            STAFF_LINKED => self.belongs(event, Is::Staff).await,
            STAFF_UNLINKED => self.belongs(event, Is::StaffNoMore).await,
            kind => bail!("nobody takes events of kind {kind}"),
        }
    }
}

impl ToPoints {
    async fn completed(&self, event: &Event) -> anyhow::Result<()> {
        let payload = event.payload.clone();
        let booking: BookingCompleted =
            serde_json::from_value(payload).context("the payload is not a completed booking")?;
        if booking.price_minor == booking.points_paid {
            return Ok(()); // nothing was paid, so nothing is earned
        }
        self.0.earn(Purchase::of(event.id, &booking)).await
    }

    async fn belongs(&self, event: &Event, is: Is) -> anyhow::Result<()> {
        let payload = event.payload.clone();
        let belonging = serde_json::from_value(payload).context("the payload says nobody")?;
        self.0.belongs(News { event: event.id, belonging, is }).await
    }
}

impl Purchase {
    fn of(event: Uuid, booking: &BookingCompleted) -> Self {
        Self {
            key: event,
            member_id: booking.member_id,
            merchant_id: booking.merchant_id,
            minor: booking.price_minor - booking.points_paid,
            reference: format!("booking:{}", booking.booking_id),
            currency: booking.currency.clone(),
            occurred_at: booking.occurred_at,
        }
    }
}

/// Sends messages by LINE until `stop`, and survives a panic.
pub fn tell(
    bookings: &Bookings,
    config: &config::Line,
    redis: &Redis,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let line = Line::new(&config.line_api_url)?;
    let pace = Pace::new(redis.clone(), config.line_messages_per_second);
    let (bookings, stop) = (bookings.clone(), stop.clone());
    tokio::spawn(async move {
        let send = || {
            let (line, pace) = (line.clone(), pace.clone());
            let send = bookings.clone().send_notifications(line, pace, stop.clone());
            async {
                send.await;
                Ok(())
            }
        };
        observability::task::supervise("notifications", stop.clone(), send).await;
    });
    Ok(())
}
