//! The services that booking calls, each behind a trait with what booking needs of it.

mod auth;
mod line;
mod pace;
mod points;

use std::sync::Arc;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use kit::outbox::{self, Deliver, Event};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, async_trait};
use uuid::Uuid;

pub use self::auth::{AuthOverGrpc, Grant, GrantHold, Grants, NoGrant, NoGrants};
pub use self::line::Line;
pub(crate) use self::line::{Push, Pushed};
pub use self::pace::Pace;
pub use self::points::PointsOverGrpc;
pub(crate) use self::points::reason;
use crate::domain::{
    BOOKING_COMPLETED, BookingCompleted, MERCHANT_REGISTERED, Membership, NoEarning, OWNER_LEFT,
    STAFF_LINKED, STAFF_UNLINKED, Saga, Step, StepAnswer,
};
use crate::metrics;

/// The points ledger.
#[async_trait]
pub trait Points: Send + Sync + 'static {
    /// Credits a member for a purchase. The same event has one effect, however often it is delivered.
    async fn earn(&self, purchase: Purchase) -> anyhow::Result<Earned>;

    /// Changes who may act for a merchant. The same event has one effect.
    async fn change_membership(&self, change: MembershipChange) -> anyhow::Result<()>;

    /// Runs one step of a payment. It has one effect, however often and in whatever order the steps of a saga are
    /// asked. After an error the effect is unknown: the step must be repeated. A hold needs the grant of its member,
    /// until the points are held.
    async fn step(
        &self,
        saga: &Saga,
        step: Step,
        grant: Option<&Grant>,
    ) -> anyhow::Result<StepAnswer>;
}

/// The effect of a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earned {
    Points,
    /// A refusal, not a failure: a repetition gets the same answer.
    Nothing(NoEarning),
}

/// A change of a member's relation to a merchant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipChange {
    /// The event that reports it.
    pub event: Uuid,
    pub membership: Membership,
    pub kind: MembershipKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MembershipKind {
    OwnerJoined,
    OwnerLeft,
    StaffJoined,
    StaffLeft,
}

/// The purchase of a completed booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The event that reports it.
    pub event: Uuid,
    pub member_id: Uuid,
    pub merchant_id: Uuid,
    /// Minor units, without the part that points paid; at least 1.
    pub minor: i64,
    pub reference: String,
    /// Currency of `minor`; the ledger's own when absent.
    pub currency: Option<String>,
    /// Time of the purchase; the time of delivery when absent.
    pub occurred_at: Option<DateTime<Utc>>,
}

/// Delivers the events of the outbox to points until `stop`.
pub async fn deliver(db: PgPool, points: Arc<dyn Points>, stop: CancellationToken) {
    outbox::relay(db, ToPoints(points), stop).await;
}

/// Points receives every event: a completed booking earns, and a membership says who may act for a merchant.
struct ToPoints(Arc<dyn Points>);

impl Deliver for ToPoints {
    async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        match event.kind.as_str() {
            BOOKING_COMPLETED => self.completed(event).await,
            MERCHANT_REGISTERED => self.membership(event, MembershipKind::OwnerJoined).await,
            OWNER_LEFT => self.membership(event, MembershipKind::OwnerLeft).await,
            STAFF_LINKED => self.membership(event, MembershipKind::StaffJoined).await,
            STAFF_UNLINKED => self.membership(event, MembershipKind::StaffLeft).await,
            kind => bail!("event kind {kind} is unknown"),
        }
    }
}

impl ToPoints {
    async fn completed(&self, event: &Event) -> anyhow::Result<()> {
        let payload = event.payload.clone();
        let booking: BookingCompleted =
            serde_json::from_value(payload).context("payload is not a `BookingCompleted`")?;
        let purchase = Purchase::of(event.id, &booking);
        if purchase.minor == 0 {
            return Ok(()); // a free booking earns nothing
        }
        let earned = self.0.earn(purchase).await?;
        if let Earned::Nothing(why) = earned {
            metrics::earned_nothing(why);
            tracing::info!(booking.id = %booking.booking_id, merchant.id = %booking.merchant_id, reason = why.as_str(), "booking earned no points");
        }
        Ok(())
    }

    async fn membership(&self, event: &Event, kind: MembershipKind) -> anyhow::Result<()> {
        let payload = event.payload.clone();
        let membership =
            serde_json::from_value(payload).context("payload is not a `Membership`")?;
        self.0.change_membership(MembershipChange { event: event.id, membership, kind }).await
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

/// Returns `true` for a failure of the peer, and `false` for its refusal.
fn is_outage(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Internal)
}
