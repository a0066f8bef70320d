//! Points over gRPC.

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

use super::{Earned, Grant, MembershipChange, MembershipKind, Points, Purchase, is_outage};
use crate::domain::{Currency, Failure, NoEarning, Saga, Step, StepAnswer};

/// The time after which points releases a hold by itself: longer than any outage that must be survived without a
/// person, so that a dead saga does not hold points for ever.
const HOLD_SECONDS: i64 = 24 * 60 * 60;

/// Points over gRPC.
#[derive(Clone)]
pub struct PointsOverGrpc {
    points: PointsClient<Peer>,
    holds: HoldsClient<Peer>,
    merchants: MerchantsClient<Peer>,
    breaker: Breaker,
    /// The currency in which a point is worth one minor unit.
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
            // Without a grant points refuses, unless it has placed the hold before.
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

    fn held(&self, saga: &Saga, hold: &HoldResponse) -> Result<StepAnswer, Status> {
        let value_minor = value_of(hold, &saga.currency, &self.currency);
        Ok(StepAnswer::Held { hold_id: hold_id(hold)?, points: hold.points, value_minor })
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
            // A part of the request that the key stands for, so the text must not change.
            occurred_at: purchase.occurred_at.map(|at| at.to_rfc3339()).unwrap_or_default(),
        };
        let answer = self.call(self.points.clone().earn(request)).await?;
        let Err(status) = answer else { return Ok(Earned::Points) };
        let reason = kit::error::reason(&status);
        // Every other refusal is retried: the relay parks the event and alerts a person.
        let nothing =
            NoEarning::ALL.into_iter().find(|why| reason.as_deref() == Some(why.as_str()));
        nothing.map(Earned::Nothing).ok_or_else(|| failure(&status))
    }

    async fn change_membership(&self, change: MembershipChange) -> anyhow::Result<()> {
        let membership = Some(Membership::from(&change));
        let mut merchants = self.merchants.clone();
        let answer = match change.kind {
            MembershipKind::OwnerJoined | MembershipKind::StaffJoined => {
                let request = JoinRequest { membership };
                self.call(async move { merchants.join(request).await }).await?.map(drop)
            }
            MembershipKind::OwnerLeft | MembershipKind::StaffLeft => {
                let request = LeaveRequest { membership };
                self.call(async move { merchants.leave(request).await }).await?.map(drop)
            }
        };
        answer.map_err(|status| match status.code() {
            // An older version of points, about to be replaced: retried like an outage.
            Code::Unimplemented => failure(&Status::unavailable("")),
            _ => failure(&status),
        })
    }

    async fn step(
        &self,
        saga: &Saga,
        step: Step,
        grant: Option<&Grant>,
    ) -> anyhow::Result<StepAnswer> {
        let answer = match step {
            Step::Hold => self.hold(saga, grant).await?.and_then(|hold| self.held(saga, &hold)),
            Step::Capture => self.capture(saga).await?.and_then(|hold| captured(&hold)),
            Step::Release => {
                let answer = self.release(saga).await?;
                answer.and_then(|hold| Ok(StepAnswer::Released { hold_id: hold_id(&hold)? }))
            }
            Step::Reverse => self.reverse(saga).await?.map(|()| StepAnswer::Reversed),
        };
        answer.or_else(|status| refusal(step, &status).ok_or_else(|| failure(&status)))
    }
}

/// Returns the answer of a refusal that no repetition changes; `None` when the step must be repeated.
fn refusal(step: Step, status: &Status) -> Option<StepAnswer> {
    let reason = kit::error::reason(status)?;
    match (step, reason.as_str()) {
        // An earlier call did it, its answer was lost and its key forgotten.
        (Step::Reverse, "already_reversed") => Some(StepAnswer::Reversed),
        // A member without an account has no points.
        (Step::Hold, "not_found") => Some(StepAnswer::Refused(Failure::InsufficientPoints)),
        // Not a reason of points.
        (_, "cancelled") => None,
        (_, reason) => reason.parse().ok().map(StepAnswer::Refused),
    }
}

/// Returns the part of a price in `currency` that a hold pays. An older version of points does not say it, and then
/// each point pays one minor unit of the `own` currency. Sagas of an older version name no currency: theirs is `own`.
fn value_of(hold: &HoldResponse, currency: &str, own: &Currency) -> i64 {
    let is_own = currency.is_empty() || currency == own.as_str();
    if hold.value_minor == 0 && is_own { hold.points } else { hold.value_minor }
}

fn captured(hold: &HoldResponse) -> Result<StepAnswer, Status> {
    let (hold_id, points) = (hold_id(hold)?, hold.captured);
    Ok(StepAnswer::Captured { hold_id, points, transfer_id: hold.transfer_id.parse().ok() })
}

/// Returns the id of the hold. An answer without one is treated as a failure.
fn hold_id(hold: &HoldResponse) -> Result<Uuid, Status> {
    hold.hold_id.parse().map_err(|_| Status::internal(""))
}

impl From<&MembershipChange> for Membership {
    fn from(change: &MembershipChange) -> Self {
        let role = match change.kind {
            MembershipKind::OwnerJoined | MembershipKind::OwnerLeft => MerchantRole::Owner,
            MembershipKind::StaffJoined | MembershipKind::StaffLeft => MerchantRole::Staff,
        };
        Self {
            event_id: change.event.to_string(),
            merchant_id: change.membership.merchant_id.to_string(),
            member_id: change.membership.member_id.to_string(),
            role: role.into(),
        }
    }
}

/// Returns the idempotency key of a step, so that it has one effect. An older version captured with another request
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

/// Returns an error with the status code, by which the relay recognizes an outage, and the reason. The message may
/// contain personal data and is left out.
fn failure(status: &Status) -> anyhow::Error {
    let reason = kit::error::reason(status).unwrap_or_default();
    anyhow::Error::new(Status::new(status.code(), reason)).context("points refused the call")
}

/// Returns the reason that points did not answer, without any text of points.
pub(crate) fn reason(error: &anyhow::Error) -> String {
    let status = error.chain().find_map(|cause| cause.downcast_ref::<Status>());
    match status {
        Some(status) if status.message().is_empty() => format!("{:?}", status.code()),
        Some(status) => status.message().to_owned(),
        None if error.chain().any(|cause| cause.is::<breaker::Open>()) => "breaker_open".to_owned(),
        None => "failed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_without_a_value_pays_its_points_in_our_own_currency_alone() {
        let own = Currency::default();
        let value = |value_minor, currency| {
            let hold = HoldResponse { points: 150, value_minor, ..HoldResponse::default() };
            value_of(&hold, currency, &own)
        };
        assert_eq!((value(0, "JPY"), value(0, ""), value(0, "USD")), (150, 150, 0));
        assert_eq!((value(100, "JPY"), value(100, "USD")), (100, 100));
    }
}
