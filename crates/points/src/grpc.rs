//! The use cases of other services, over gRPC.

mod holds;
mod merchants;

use chrono::{DateTime, Utc};
use kit::ApiError;
use kit::caller::{ServiceCaller, Verifier};
use kit::command::Answer;
use kit::grpc::Allowlist;
use kit::idempotency::Key;
use prost::Message as _;
use proto::points::v1::earn_request::Basis;
use proto::points::v1::holds_server::HoldsServer;
use proto::points::v1::merchants_server::MerchantsServer;
use proto::points::v1::points_server::{Points as Rpc, PointsServer};
use proto::points::v1::{EarnRequest, EarnResponse, GetBalanceRequest, GetBalanceResponse};
use serde::de::DeserializeOwned;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::{AskedEarning, Points};
use crate::domain::command::Earn;
use crate::domain::{AccountRef, Actor, Currency, EventId, MemberId, Refused, ServiceName};
use crate::error::Error;
use crate::view::{AccountView, Receipt};

const EARN: &str = "/points.v1.Points/Earn";
const ALLOW: Allowlist = &[
    (EARN, &["booking"]),
    // None of our services calls it, so none may. `inspector` is a client that no deployment has: an operator
    // creates it for a program of their own (docs/security.md).
    ("/points.v1.Points/GetBalance", &["inspector"]),
    (holds::HOLD, &["booking"]),
    (holds::CAPTURE, &["booking"]),
    (holds::RELEASE, &["booking"]),
    (holds::REVERSE, &["booking"]),
    (merchants::JOIN, &["booking"]),
    (merchants::LEAVE, &["booking"]),
];

pub fn routes(points: Points, verifier: Verifier) -> Routes {
    let holds = HoldsServer::new(holds::Server::new(points.clone(), verifier.clone()));
    let merchants = MerchantsServer::new(Server(points.clone()));
    let routes = Routes::new(PointsServer::new(Server(points)));
    let routes = routes.add_service(holds).add_service(merchants);
    kit::grpc::guard(routes, verifier, ALLOW)
}

struct Server(Points);

#[tonic::async_trait]
impl Rpc for Server {
    async fn earn(&self, request: Request<EarnRequest>) -> Result<Response<EarnResponse>, Status> {
        let service = service(&request)?;
        let principal = principal(&service);
        let mut message = request.into_inner();
        let event = event(&mut message).map_err(ApiError::from)?;
        let key = Key::grpc(&message.idempotency_key, EARN, &message.encode_to_vec())
            .map_err(ApiError::from)?;
        let (earn, at) = command(service, message, event, self.0.currency())?;

        let answer = self.0.earn(principal, key, earn, at).await.map_err(ApiError::from)?;
        Ok(Response::new(value(answer)?.into()))
    }

    async fn get_balance(
        &self,
        request: Request<GetBalanceRequest>,
    ) -> Result<Response<GetBalanceResponse>, Status> {
        let by = Actor::Service(service(&request)?);
        let member = id("member_id", &request.get_ref().member_id).map_err(ApiError::from)?;
        let account = AccountRef::Member(MemberId(member));
        let account = self.0.balance(&by, account).await.map_err(ApiError::from)?;
        Ok(Response::new(account.into()))
    }
}

/// The calling service, which the guard has admitted by name.
fn service<T>(request: &Request<T>) -> Result<ServiceName, Status> {
    let caller = request.extensions().get::<ServiceCaller>();
    let caller = caller.ok_or_else(|| Status::unauthenticated("a service token is required"))?;
    Ok(ServiceName(caller.name.clone()))
}

/// The owner of a service's idempotency keys.
fn principal(service: &ServiceName) -> String {
    format!("service:{}", service.0)
}

/// The value of an answer, of a replay too.
fn value<T: DeserializeOwned>(answer: Answer<T>) -> Result<T, ApiError> {
    Ok(answer.into_value()?)
}

fn id(field: &'static str, text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::InvalidId(field))
}

/// Takes the event out of the message, because a message with the same key is the same command with and without it.
/// The release before sends the event as the key alone. So, for this release only, a message without an event
/// has its key as the event.
fn event(message: &mut EarnRequest) -> Result<EventId, Error> {
    let named = std::mem::take(&mut message.event_id);
    let text = if named.is_empty() { &message.idempotency_key } else { &named };
    Ok(EventId(id("event_id", text)?))
}

fn command(
    service: ServiceName,
    message: EarnRequest,
    event: EventId,
    unit: &Currency,
) -> Result<(Earn, Option<DateTime<Utc>>), ApiError> {
    let (purchase_minor, points) = match message.basis {
        Some(Basis::PurchaseMinor(minor)) => (Some(Some(minor)), None),
        Some(Basis::Points(points)) => (None, Some(Some(points))),
        None => (None, None),
    };
    let member = MemberId(id("member_id", &message.member_id)?);
    let merchant = id("merchant_id", &message.merchant_id)?;
    let currency = Some(message.currency).filter(|currency| !currency.is_empty());
    let reference = message.reference;
    let asked = AskedEarning { purchase_minor, points, currency, merchant, reference };
    let at = match &*message.occurred_at {
        "" => None,
        text => Some(text.parse().map_err(|_| Error::from(Refused::Time))?),
    };
    let earn = Earn::try_new(Actor::Service(service), AccountRef::Member(member), asked, unit)?;
    Ok((Earn { event: Some(event), ..earn }, at))
}

impl From<Receipt> for EarnResponse {
    fn from(receipt: Receipt) -> Self {
        Self {
            entry_id: receipt.entry_id.to_string(),
            account_id: receipt.account_id.to_string(),
            points: receipt.points,
            balance: receipt.balance,
        }
    }
}

impl From<AccountView> for GetBalanceResponse {
    fn from(account: AccountView) -> Self {
        Self {
            account_id: account.account_id.to_string(),
            earned: account.earned,
            used: account.used,
            available: account.available,
            version: account.version,
        }
    }
}
