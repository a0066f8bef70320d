//! The services that booking calls, each behind a trait with what booking needs of it.

mod auth;
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

pub use self::auth::{AuthOverGrpc, Grant, GrantHold, Grants, NoGrant, NoGrants};
pub use self::line::Line;
pub(crate) use self::line::{Push, Pushed};
pub use self::pace::Pace;
pub use self::points::PointsOverGrpc;
pub(crate) use self::points::reason;
use crate::app::{
    BOOKING_COMPLETED, Belonging, BookingCompleted, Bookings, MERCHANT_REGISTERED, OWNER_LEFT,
    STAFF_LINKED, STAFF_UNLINKED,
};
use crate::config::{self, Config};
use crate::domain::{Heard, Saga, Step};
use crate::metrics;

/// The points ledger.
#[async_trait]
pub trait Points: Send + Sync + 'static {
    /// Credits a member for what they paid. The same event has one effect, however often it is told.
    async fn earn(&self, purchase: Purchase) -> anyhow::Result<Earned>;

    /// Tells who may act for a merchant from now on, or no more. The same event has one effect.
    async fn belongs(&self, news: News) -> anyhow::Result<()>;

    /// One step of a payment. It has one effect, however often and in whatever order the steps of a saga
    /// are asked. An error says nothing about the effect: ask again.
    /// To hold points takes the grant of their member, until they are held.
    async fn step(&self, saga: &Saga, step: Step, grant: Option<&Grant>) -> anyhow::Result<Heard>;
}

/// The effect of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earned {
    Points,
    /// An answer, not a failure: asked again it would be the same.
    Nothing(Nothing),
}

/// The reason that a purchase earns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// Less was paid than a point is worth.
    PurchaseTooSmall,
    /// Nobody earns at their own merchant.
    OwnMerchant,
    /// The merchant's currency has no worth in points.
    TenderValueMissing,
}

impl Nothing {
    pub const ALL: [Self; 3] =
        [Self::PurchaseTooSmall, Self::OwnMerchant, Self::TenderValueMissing];

    /// The reason that points gives.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PurchaseTooSmall => "purchase_too_small",
            Self::OwnMerchant => "own_merchant",
            Self::TenderValueMissing => "tender_value_missing",
        }
    }
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
    OwnerNoMore,
    Staff,
    StaffNoMore,
}

/// What a member paid for a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The event that reports it.
    pub event: Uuid,
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
            OWNER_LEFT => self.belongs(event, Is::OwnerNoMore).await,
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
        let purchase = Purchase::of(event.id, &booking);
        if purchase.minor == 0 {
            return Ok(()); // nothing was paid, so nothing is earned
        }
        let earned = self.0.earn(purchase).await?;
        if let Earned::Nothing(why) = earned {
            metrics::earned_nothing(why);
            tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, reason = why.as_str(), "earned nothing");
        }
        Ok(())
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
            event,
            member_id: booking.member_id,
            merchant_id: booking.merchant_id,
            minor: booking.price_minor - booking.points_value_minor.unwrap_or(booking.points_paid),
            reference: format!("booking:{}", booking.booking_id),
            currency: booking.currency.clone(),
            occurred_at: booking.occurred_at,
        }
    }
}

/// Points and auth, where an operator says that they are.
pub fn over_grpc(config: &Config) -> anyhow::Result<(Arc<dyn Points>, Arc<dyn Grants>)> {
    let points = PointsOverGrpc::shared(
        &config.points_grpc_url,
        &config.auth,
        config.points_currency.clone(),
    )?;
    Ok((points, AuthOverGrpc::shared(&config.auth)?))
}

/// LINE, and how fast it may be asked.
pub fn line(config: &config::Line, redis: &Redis) -> anyhow::Result<(Line, Pace)> {
    let line = Line::new(&config.line_api_url)?;
    Ok((line, Pace::new(redis.clone(), config.line_messages_per_second)))
}

/// Sends messages by LINE until `stop`, and survives a panic.
pub(crate) fn tell(bookings: &Bookings, line: &(Line, Pace), stop: &CancellationToken) {
    let (bookings, line, stop) = (bookings.clone(), line.clone(), stop.clone());
    tokio::spawn(async move {
        let send = || {
            let send = bookings.clone().send_notifications(line.clone(), stop.clone());
            async {
                send.await;
                Ok(())
            }
        };
        observability::task::supervise("notifications", stop.clone(), send).await;
    });
}
