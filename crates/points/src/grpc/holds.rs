//! Payments with points in two steps, for booking's saga.

use kit::ApiError;
use kit::caller::{self, Verifier};
use kit::idempotency::Key;
use prost::Message;
use proto::points::v1::holds_server::Holds as Rpc;
use proto::points::v1::{
    self, CaptureRequest, HoldRequest, HoldResponse, ReleaseRequest, ReverseRequest,
    ReverseResponse,
};
use tonic::{Request, Response, Status};

use super::{id, principal, service, value};
use crate::app::{AskedHold, Points};
use crate::domain::command::{Capture, PlaceHold, Release, Reverse};
use crate::domain::{AccountRef, Actor, Amount, HoldId, MemberId, ServiceName};
use crate::error::Error;
use crate::view::{HoldState, HoldView, Receipt};

pub(super) const HOLD: &str = "/points.v1.Holds/Hold";
pub(super) const CAPTURE: &str = "/points.v1.Holds/Capture";
pub(super) const RELEASE: &str = "/points.v1.Holds/Release";
pub(super) const REVERSE: &str = "/points.v1.Holds/Reverse";

pub(super) struct Server {
    points: Points,
    /// Verifies the members' grants.
    verifier: Verifier,
}

#[tonic::async_trait]
impl Rpc for Server {
    async fn hold(&self, request: Request<HoldRequest>) -> Result<Response<HoldResponse>, Status> {
        let (service, message) = (service(&request)?, request.into_inner());
        let key = key(&message.idempotency_key, HOLD, &message)?;
        self.check_grant(&service, &message).await.map_err(ApiError::from)?;
        let principal = principal(&service);
        let hold = self.command(service, message)?;
        let answer = self.points.hold(principal, key, hold).await.map_err(ApiError::from)?;
        Ok(Response::new(value(answer)?.into()))
    }

    async fn capture(
        &self,
        request: Request<CaptureRequest>,
    ) -> Result<Response<HoldResponse>, Status> {
        let (service, message) = (service(&request)?, request.into_inner());
        let key = key(&message.idempotency_key, CAPTURE, &message)?;
        let hold = HoldId(id("hold_id", &message.hold_id).map_err(ApiError::from)?);
        let amount = (message.points != 0).then(|| Amount::new(message.points)).transpose();
        let amount = amount.map_err(Error::from).map_err(ApiError::from)?;
        let principal = principal(&service);
        let capture = Capture { hold, amount, by: Actor::Service(service) };
        let answer = self.points.capture(principal, key, capture).await.map_err(ApiError::from)?;
        Ok(Response::new(value(answer)?.into()))
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<HoldResponse>, Status> {
        let (service, message) = (service(&request)?, request.into_inner());
        let key = key(&message.idempotency_key, RELEASE, &message)?;
        let hold = HoldId(id("hold_id", &message.hold_id).map_err(ApiError::from)?);
        let principal = principal(&service);
        let release = Release { hold, by: Actor::Service(service) };
        let answer = self.points.release(principal, key, release).await.map_err(ApiError::from)?;
        Ok(Response::new(value(answer)?.into()))
    }

    async fn reverse(
        &self,
        request: Request<ReverseRequest>,
    ) -> Result<Response<ReverseResponse>, Status> {
        let (service, message) = (service(&request)?, request.into_inner());
        let key = key(&message.idempotency_key, REVERSE, &message)?;
        let transfer = id("transfer_id", &message.transfer_id).map_err(ApiError::from)?;
        let principal = principal(&service);
        let reverse = Reverse::try_new(Actor::Service(service), transfer, message.reference)?;
        let answer = self.points.reverse(principal, key, reverse).await.map_err(ApiError::from)?;
        Ok(Response::new(value(answer)?.into()))
    }
}

impl Server {
    pub(super) fn new(points: Points, verifier: Verifier) -> Self {
        Self { points, verifier }
    }

    /// Refuses a hold that its member has not granted to this service, for these points, this merchant and this id.
    /// With the service's token alone, no points can be held.
    async fn check_grant(&self, service: &ServiceName, asked: &HoldRequest) -> Result<(), Error> {
        let grant = self.verifier.grant(&asked.grant).await.map_err(|refused| match refused {
            caller::Refused::Expired => Error::GrantExpired,
            caller::Refused::KeysUnavailable => Error::KeysUnavailable,
            _ => Error::GrantInvalid,
        })?;
        let granted = grant.act == service.0
            && id("member_id", &asked.member_id)? == grant.sub
            && id("hold_id", &asked.hold_id)? == grant.hold_id
            && id("merchant_id", &asked.merchant_id)? == grant.merchant_id
            && asked.points == grant.points;
        if granted { Ok(()) } else { Err(Error::GrantInvalid) }
    }

    fn command(&self, service: ServiceName, message: HoldRequest) -> Result<PlaceHold, ApiError> {
        let price = self.points.price(message.price_minor, message.currency);
        let asked = AskedHold {
            price: Some(price.map_err(Error::from)?),
            from: AccountRef::Member(MemberId(id("member_id", &message.member_id)?)),
            merchant: Some(id("merchant_id", &message.merchant_id)?),
            id: HoldId(id("hold_id", &message.hold_id)?),
            points: Some(message.points),
            reference: message.reference,
            seconds: (message.expires_in_seconds != 0).then_some(message.expires_in_seconds),
        };
        PlaceHold::try_new(Actor::Service(service), asked)
    }
}

fn key(key: &str, method: &str, message: &impl Message) -> Result<Key, ApiError> {
    Ok(Key::grpc(key, method, &message.encode_to_vec())?)
}

impl From<HoldView> for HoldResponse {
    fn from(hold: HoldView) -> Self {
        let state = match hold.state {
            HoldState::Active => v1::HoldState::Active,
            HoldState::Captured => v1::HoldState::Captured,
            HoldState::Released => v1::HoldState::Released,
            HoldState::Expired => v1::HoldState::Expired,
        };
        let text = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        Self {
            hold_id: hold.hold_id.to_string(),
            state: state.into(),
            account_id: text(hold.account_id),
            points: hold.points.unwrap_or_default(),
            captured: hold.captured.unwrap_or_default(),
            transfer_id: text(hold.transfer_id),
            value_minor: hold.value_minor.unwrap_or_default(),
        }
    }
}

impl From<Receipt> for ReverseResponse {
    fn from(receipt: Receipt) -> Self {
        Self {
            transfer_id: receipt.transfer_id.to_string(),
            account_id: receipt.account_id.to_string(),
            points: receipt.points,
            balance: receipt.balance,
        }
    }
}
