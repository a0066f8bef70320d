//! Paying with points in two steps, for booking's saga.

use kit::ApiError;
use kit::caller::{self, Verifier};
use kit::idempotency::{Answer, Key};
use prost::Message;
use proto::points::v1::holds_server::Holds as Rpc;
use proto::points::v1::{
    CaptureRequest, HoldRequest, HoldResponse, HoldState, ReleaseRequest, ReverseRequest,
    ReverseResponse,
};
use serde::de::DeserializeOwned;
use tonic::{Request, Response, Status};

use super::{id, principal, service};
use crate::app::{AskedHold, Error, HoldView, PlaceHold, Points, Receipt, Reverse};
use crate::domain::{Actor, Amount, HoldId, MemberId, Payer, Price, ServiceName};

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
        self.granted(&service, &message).await.map_err(ApiError::from)?;
        let price = self.points.price(message.price_minor, message.currency.clone());
        let price = price.map_err(Error::from).map_err(ApiError::from)?;
        let hold = place(service.clone(), message, price)?;
        let principal = principal(&service);
        let answer = self.points.hold(principal, key, hold).await.map_err(ApiError::from)?;
        Ok(Response::new(body::<HoldView>(&answer)?.into()))
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
        let answer = self
            .points
            .capture(principal(&service), key, hold, amount, Actor::Service(service))
            .await;
        let answer = answer.map_err(ApiError::from)?;
        Ok(Response::new(body::<HoldView>(&answer)?.into()))
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
    ) -> Result<Response<HoldResponse>, Status> {
        let (service, message) = (service(&request)?, request.into_inner());
        let key = key(&message.idempotency_key, RELEASE, &message)?;
        let hold = HoldId(id("hold_id", &message.hold_id).map_err(ApiError::from)?);
        let released =
            self.points.release(principal(&service), key, hold, Actor::Service(service)).await;
        let answer = released.map_err(ApiError::from)?;
        Ok(Response::new(body::<HoldView>(&answer)?.into()))
    }

    async fn reverse(
        &self,
        request: Request<ReverseRequest>,
    ) -> Result<Response<ReverseResponse>, Status> {
        let (service, message) = (service(&request)?, request.into_inner());
        let key = key(&message.idempotency_key, REVERSE, &message)?;
        let transfer = id("transfer_id", &message.transfer_id).map_err(ApiError::from)?;
        let reverse = Reverse::try_new(transfer, message.reference)?;
        let (principal, by) = (principal(&service), Actor::Service(service));
        let answer =
            self.points.reverse(principal, key, reverse, by).await.map_err(ApiError::from)?;
        Ok(Response::new(body::<Receipt>(&answer)?.into()))
    }
}

impl Server {
    pub(super) fn new(points: Points, verifier: Verifier) -> Self {
        Self { points, verifier }
    }

    /// Refuses a hold that its member has not confirmed: to this service, for these points, this merchant and this
    /// id. Whoever has only the service's own token holds nobody's points.
    async fn granted(&self, service: &ServiceName, asked: &HoldRequest) -> Result<(), Error> {
        let grant = self.verifier.grant(&asked.grant).await.map_err(|refused| match refused {
            caller::Refused::Expired => Error::GrantExpired,
            caller::Refused::KeysUnavailable => Error::Unverifiable,
            _ => Error::GrantInvalid,
        })?;
        let granted = grant.act == service.0
            && id("member_id", &asked.member_id)? == grant.sub
            && id("hold_id", &asked.hold_id)? == grant.hold_id
            && id("merchant_id", &asked.merchant_id)? == grant.merchant_id
            && asked.points == grant.points;
        if granted { Ok(()) } else { Err(Error::GrantInvalid) }
    }
}

fn key(key: &str, method: &str, message: &impl Message) -> Result<Key, ApiError> {
    Ok(Key::grpc(key, method, &message.encode_to_vec())?)
}

/// What was answered first, whichever transport asks again.
fn body<T: DeserializeOwned>(answer: &Answer) -> Result<T, ApiError> {
    Ok(serde_json::from_slice(&answer.body).map_err(Error::from)?)
}

fn place(service: ServiceName, message: HoldRequest, price: Price) -> Result<PlaceHold, ApiError> {
    let member = MemberId(id("member_id", &message.member_id)?);
    let merchant = Some(id("merchant_id", &message.merchant_id)?);
    let hold = HoldId(id("hold_id", &message.hold_id)?);
    let asked = AskedHold {
        points: Some(message.points),
        merchant,
        reference: message.reference,
        seconds: (message.expires_in_seconds != 0).then_some(message.expires_in_seconds),
    };
    let placed = PlaceHold::try_new(Payer::Member(member), asked)?;
    Ok(PlaceHold { id: Some(hold), price: Some(price), placed_by: Some(service), ..placed })
}

impl From<HoldView> for HoldResponse {
    fn from(hold: HoldView) -> Self {
        let state = match hold.state.as_str() {
            "active" => HoldState::Active,
            "captured" => HoldState::Captured,
            "released" => HoldState::Released,
            "expired" => HoldState::Expired,
            _ => HoldState::Unspecified,
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
