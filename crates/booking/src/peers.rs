//! The services that booking calls, each behind a trait with what booking needs of it.

use anyhow::{Context as _, bail};
use kit::grpc::Peer;
use kit::outbox::{self, Deliver, Event};
use proto::points::v1::EarnRequest;
use proto::points::v1::earn_request::Basis;
use proto::points::v1::points_client::PointsClient;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use uuid::Uuid;

use crate::app::{BOOKING_COMPLETED, BookingCompleted};

/// The points ledger.
pub trait Points: Send + Sync + 'static {
    /// Credits a member for what they paid. The same key has one effect, however often it is used.
    fn earn(&self, purchase: Purchase) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What a member paid for a booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purchase {
    pub key: Uuid,
    pub member_id: Uuid,
    pub merchant_id: Uuid,
    /// In minor units; at least 1.
    pub minor: i64,
    pub reference: String,
}

/// Delivers our events until `stop`, and survives a panic.
pub async fn deliver(db: PgPool, points: impl Points + Clone, stop: CancellationToken) {
    let relay = || async {
        outbox::relay(db.clone(), Rewards(points.clone()), stop.clone()).await;
        Ok(())
    };
    observability::task::supervise("outbox", stop.clone(), relay).await;
}

/// A completed booking earns points.
struct Rewards<P>(P);

impl<P: Points> Deliver for Rewards<P> {
    async fn deliver(&self, event: &Event) -> anyhow::Result<()> {
        if event.kind != BOOKING_COMPLETED {
            bail!("nobody takes events of kind {}", event.kind);
        }
        let payload = event.payload.clone();
        let booking: BookingCompleted =
            serde_json::from_value(payload).context("the payload is not a completed booking")?;
        if booking.price_minor == 0 {
            return Ok(()); // nothing was paid, so nothing is earned
        }
        self.0.earn(Purchase::of(event.id, &booking)).await
    }
}

impl Purchase {
    fn of(event: Uuid, booking: &BookingCompleted) -> Self {
        Self {
            key: event,
            member_id: booking.member_id,
            merchant_id: booking.merchant_id,
            minor: booking.price_minor,
            reference: format!("booking:{}", booking.booking_id),
        }
    }
}

/// The real one.
#[derive(Clone)]
pub struct PointsOverGrpc(PointsClient<Peer>);

impl PointsOverGrpc {
    /// Connects lazily to `url` (http://host:port).
    pub fn new(url: &str, auth: &kit::config::Auth) -> anyhow::Result<Self> {
        Ok(Self(PointsClient::new(Peer::new(url, auth)?)))
    }
}

impl Points for PointsOverGrpc {
    async fn earn(&self, purchase: Purchase) -> anyhow::Result<()> {
        let request = EarnRequest {
            idempotency_key: purchase.key.to_string(),
            member_id: purchase.member_id.to_string(),
            merchant_id: purchase.merchant_id.to_string(),
            basis: Some(Basis::PurchaseMinor(purchase.minor)),
            reference: purchase.reference,
        };
        let Err(status) = self.0.clone().earn(request).await else { return Ok(()) };
        match kit::error::reason(&status).as_deref() {
            // Paid less than a point is worth: an answer, not a failure.
            Some("purchase_too_small") => Ok(()),
            // A refusal that no retry can change is retried too: the relay parks it and alerts, so
            // that a person sees it. By the code it tells an outage, which never parks. The message
            // may name someone and is left out; the reason cannot.
            reason => {
                let status = Status::new(status.code(), reason.unwrap_or_default());
                Err(anyhow::Error::new(status).context("points did not take it"))
            }
        }
    }
}
