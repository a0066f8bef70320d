//! Points over gRPC.

use std::sync::Arc;

use kit::breaker::{self, Breaker};
use kit::grpc::Peer;
use proto::points::v1::earn_request::Basis;
use proto::points::v1::holds_client::HoldsClient;
use proto::points::v1::merchants_client::MerchantsClient;
use proto::points::v1::points_client::PointsClient;
use proto::points::v1::{
    CaptureRequest, EarnRequest, HoldRequest, HoldResponse, JoinRequest, LeaveRequest, Membership,
    MerchantRole, ReleaseRequest, ReverseRequest,
};
use secrecy::ExposeSecret as _;
use tonic::{Code, Response, Status, async_trait};
use uuid::Uuid;

use super::{Earned, Grant, Is, News, Nothing, Points, Purchase};
use crate::domain::{
    Currency, EXCEEDS_PRICE, Heard, INSUFFICIENT, Saga, Step, TENDER_VALUE_MISSING,
};

/// How long points keeps what is held when it hears nothing more. Longer than any outage that we mean to
/// survive without a person; a saga that dies does not keep them for ever.
const HOLD_SECONDS: i64 = 24 * 60 * 60;

/// The real one.
#[derive(Clone)]
pub struct PointsOverGrpc {
    points: PointsClient<Peer>,
    holds: HoldsClient<Peer>,
    merchants: MerchantsClient<Peer>,
    breaker: Breaker,
    /// In whose minor unit a point is worth one.
    currency: Currency,
}

impl PointsOverGrpc {
    /// Connects lazily to `url` (http://host:port).
    pub fn new(url: &str, auth: &kit::config::Auth, currency: Currency) -> anyhow::Result<Self> {
        let peer = Peer::new(url, auth)?;
        Ok(Self {
            points: PointsClient::new(peer.clone()),
            holds: HoldsClient::new(peer.clone()),
            merchants: MerchantsClient::new(peer),
            breaker: Breaker::new("points", breaker::Config::default()),
            currency,
        })
    }

    /// The same, for everybody who needs it.
    pub fn shared(
        url: &str,
        auth: &kit::config::Auth,
        currency: Currency,
    ) -> anyhow::Result<Arc<dyn Points>> {
        Ok(Arc::new(Self::new(url, auth, currency)?))
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> anyhow::Result<Result<T, Status>> {
        let answer =
            self.breaker.call(call, |answer| answer.as_ref().is_err_and(is_outage)).await?;
        Ok(answer.map(Response::into_inner))
    }

    async fn hold(
        &self,
        saga: &Saga,
        grant: Option<&Grant>,
    ) -> anyhow::Result<Result<HoldResponse, Status>> {
        let request = HoldRequest {
            idempotency_key: key(saga, Step::Hold),
            hold_id: saga.saga_id.to_string(),
            member_id: saga.member_id.to_string(),
            points: saga.points,
            merchant_id: saga.merchant_id.to_string(),
            reference: reference(saga),
            expires_in_seconds: HOLD_SECONDS,
            // Without one points refuses, unless it has placed the hold before.
            grant: grant.map(|grant| grant.expose_secret().to_owned()).unwrap_or_default(),
            currency: saga.currency.clone(),
            price_minor: saga.price_minor,
        };
        self.call(self.holds.clone().hold(request)).await
    }

    async fn capture(&self, saga: &Saga) -> anyhow::Result<Result<HoldResponse, Status>> {
        let request = CaptureRequest {
            idempotency_key: key(saga, Step::Capture),
            hold_id: saga.saga_id.to_string(),
            points: saga.points,
        };
        self.call(self.holds.clone().capture(request)).await
    }

    async fn release(&self, saga: &Saga) -> anyhow::Result<Result<HoldResponse, Status>> {
        let request = ReleaseRequest {
            idempotency_key: key(saga, Step::Release),
            hold_id: saga.saga_id.to_string(),
        };
        self.call(self.holds.clone().release(request)).await
    }

    async fn reverse(&self, saga: &Saga) -> anyhow::Result<Result<(), Status>> {
        let transfer = saga.transfer_id.map(|id| id.to_string()).unwrap_or_default();
        let request = ReverseRequest {
            idempotency_key: key(saga, Step::Reverse),
            transfer_id: transfer,
            reference: reference(saga),
        };
        Ok(self.call(self.holds.clone().reverse(request)).await?.map(drop))
    }

    fn held(&self, saga: &Saga, hold: &HoldResponse) -> Result<Heard, Status> {
        let value_minor = worth(hold, &saga.currency, &self.currency);
        Ok(Heard::Held { hold_id: hold_id(hold)?, points: hold.points, value_minor })
    }
}

#[async_trait]
impl Points for PointsOverGrpc {
    async fn earn(&self, purchase: Purchase) -> anyhow::Result<Earned> {
        let request = EarnRequest {
            idempotency_key: purchase.event.to_string(),
            event_id: purchase.event.to_string(),
            member_id: purchase.member_id.to_string(),
            merchant_id: purchase.merchant_id.to_string(),
            basis: Some(Basis::PurchaseMinor(purchase.minor)),
            reference: purchase.reference,
            currency: purchase.currency.unwrap_or_default(),
            // The text is a part of what the key stands for: the same each time.
            occurred_at: purchase.occurred_at.map(|at| at.to_rfc3339()).unwrap_or_default(),
        };
        let answer = self.call(self.points.clone().earn(request)).await?;
        let Err(status) = answer else { return Ok(Earned::Points) };
        let reason = kit::error::reason(&status);
        // A refusal that no retry can change, and that a person may, is retried too: the relay parks it and
        // alerts, so that a person sees it.
        let nothing = Nothing::ALL.into_iter().find(|why| reason.as_deref() == Some(why.as_str()));
        nothing.map(Earned::Nothing).ok_or_else(|| failure(&status))
    }

    async fn belongs(&self, news: News) -> anyhow::Result<()> {
        let membership = Some(Membership::from(&news));
        let mut merchants = self.merchants.clone();
        let told = match news.is {
            Is::Owner | Is::Staff => {
                let request = JoinRequest { membership };
                self.call(async move { merchants.join(request).await }).await?.map(drop)
            }
            Is::OwnerNoMore | Is::StaffNoMore => {
                let request = LeaveRequest { membership };
                self.call(async move { merchants.leave(request).await }).await?.map(drop)
            }
        };
        told.map_err(|status| match status.code() {
            // It is older than we are, and about to be replaced: no reason to give an event up.
            Code::Unimplemented => failure(&Status::unavailable("")),
            _ => failure(&status),
        })
    }

    async fn step(&self, saga: &Saga, step: Step, grant: Option<&Grant>) -> anyhow::Result<Heard> {
        let answer = match step {
            Step::Hold => self.hold(saga, grant).await?.and_then(|hold| self.held(saga, &hold)),
            Step::Capture => self.capture(saga).await?.and_then(|hold| captured(&hold)),
            Step::Release => {
                let answer = self.release(saga).await?;
                answer.and_then(|hold| Ok(Heard::Released { hold_id: hold_id(&hold)? }))
            }
            Step::Reverse => self.reverse(saga).await?.map(|()| Heard::Reversed),
        };
        let status = match answer {
            Ok(heard) => return Ok(heard),
            Err(status) => status,
        };
        let reason = kit::error::reason(&status);
        match (step, reason.as_deref()) {
            // What was to be done is done: by a call whose answer was lost, and whose key is forgotten.
            (Step::Reverse, Some("already_reversed")) => Ok(Heard::Reversed),
            // Who has no account has no points.
            (Step::Hold, Some("not_found")) => Ok(Heard::Refused(INSUFFICIENT.to_owned())),
            (_, Some(reason)) if FINAL.contains(&reason) => Ok(Heard::Refused(reason.to_owned())),
            _ => Err(failure(&status)),
        }
    }
}

/// The part of a price in `currency` that a hold pays. The version of points before does not say it, and then each point pays
/// one minor unit of our `own` currency. Sagas from before name none: theirs was our own.
fn worth(hold: &HoldResponse, currency: &str, own: &Currency) -> i64 {
    let is_own = currency.is_empty() || currency == own.as_str();
    if hold.value_minor == 0 && is_own { hold.points } else { hold.value_minor }
}

fn captured(hold: &HoldResponse) -> Result<Heard, Status> {
    let (hold_id, points) = (hold_id(hold)?, hold.captured);
    Ok(Heard::Captured { hold_id, points, transfer_id: hold.transfer_id.parse().ok() })
}

/// An answer about no hold is none.
fn hold_id(hold: &HoldResponse) -> Result<Uuid, Status> {
    hold.hold_id.parse().map_err(|_| Status::internal(""))
}

impl From<&News> for Membership {
    fn from(news: &News) -> Self {
        let role = match news.is {
            Is::Owner | Is::OwnerNoMore => MerchantRole::Owner,
            Is::Staff | Is::StaffNoMore => MerchantRole::Staff,
        };
        Self {
            event_id: news.event.to_string(),
            merchant_id: news.belonging.merchant_id.to_string(),
            member_id: news.belonging.member_id.to_string(),
            role: role.into(),
        }
    }
}

/// The refusals of points that no repetition changes. Whatever else it says, it is asked again.
const FINAL: [&str; 14] = [
    INSUFFICIENT,
    TENDER_VALUE_MISSING,
    EXCEEDS_PRICE,
    "grant_invalid",
    "grant_expired",
    "not_found",
    "hold_exists",
    "hold_released",
    "hold_captured",
    "hold_expired",
    "capture_exceeds_hold",
    "not_reversible",
    "invalid_amount",
    "balance_limit_exceeded",
];

/// One for each step of a saga, so that a step has one effect. The version before captures with another request
/// under the key `capture`, and a key is refused for another request.
fn key(saga: &Saga, step: Step) -> String {
    let name = match step {
        Step::Capture => "capture-points",
        Step::Hold | Step::Release | Step::Reverse => step.as_str(),
    };
    format!("saga:{}:{name}", saga.saga_id)
}

fn reference(saga: &Saga) -> String {
    format!("booking:{}", saga.booking_id)
}

/// By the code it tells an outage, which never parks an event. The message may name someone and is left
/// out; the reason cannot.
fn failure(status: &Status) -> anyhow::Error {
    let reason = kit::error::reason(status).unwrap_or_default();
    anyhow::Error::new(Status::new(status.code(), reason)).context("points did not take it")
}

/// Why points did not answer, as it may be written down: no text from elsewhere.
pub(crate) fn reason(error: &anyhow::Error) -> String {
    let status = error.chain().find_map(|cause| cause.downcast_ref::<Status>());
    match status {
        Some(status) if status.message().is_empty() => format!("{:?}", status.code()),
        Some(status) => status.message().to_owned(),
        None if error.chain().any(|cause| cause.is::<breaker::Open>()) => "breaker_open".to_owned(),
        None => "failed".to_owned(),
    }
}

pub(super) fn is_outage(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Internal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_without_a_value_pays_its_points_in_our_own_currency_alone() {
        let own = Currency::default();
        let worth = |value_minor, currency| {
            worth(
                &HoldResponse { points: 150, value_minor, ..HoldResponse::default() },
                currency,
                &own,
            )
        };
        assert_eq!((worth(0, "JPY"), worth(0, ""), worth(0, "USD")), (150, 150, 0));
        assert_eq!((worth(100, "JPY"), worth(100, "USD")), (100, 100));
    }
}
