//! The same use cases for the other services, over gRPC.

mod holds;
mod merchants;

use kit::ApiError;
use kit::caller::{ServiceCaller, Verifier};
use kit::grpc::Allowlist;
use kit::idempotency::Key;
use prost::Message as _;
use proto::points::v1::earn_request::Basis;
use proto::points::v1::holds_server::HoldsServer;
use proto::points::v1::merchants_server::MerchantsServer;
use proto::points::v1::points_server::{Points as Rpc, PointsServer};
use proto::points::v1::{EarnRequest, EarnResponse, GetBalanceRequest, GetBalanceResponse};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::{AccountView, Asked, Earn, Error, Points, Receipt, Which};
use crate::domain::{Actor, Currency, EventId, MemberId, Recipient, Refused, ServiceName};

const EARN: &str = "/points.v1.Points/Earn";
const ALLOW: Allowlist = &[
    (EARN, &["booking"]),
    // No service of ours calls it, so none may. `inspector` is a client that no deployment has: an operator
    // makes it for a program of their own (docs/security.md).
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
        let command = command(service, message, event, self.0.currency())?;

        let answer = self.0.earn(principal, key, command).await.map_err(ApiError::from)?;
        let receipt: Receipt = serde_json::from_slice(&answer.body)
            .map_err(|error| ApiError::from(Error::from(error)))?;
        Ok(Response::new(receipt.into()))
    }

    async fn get_balance(
        &self,
        request: Request<GetBalanceRequest>,
    ) -> Result<Response<GetBalanceResponse>, Status> {
        let member = id("member_id", &request.get_ref().member_id).map_err(ApiError::from)?;
        let account = self.0.balance(Which::Of(MemberId(member))).await.map_err(ApiError::from)?;
        Ok(Response::new(account.into()))
    }
}

/// The calling service, which the guard has let in by name.
fn service<T>(request: &Request<T>) -> Result<ServiceName, Status> {
    let caller = request.extensions().get::<ServiceCaller>();
    let caller = caller.ok_or_else(|| Status::unauthenticated("this needs a service token"))?;
    Ok(ServiceName(caller.name.clone()))
}

/// The owner of a service's idempotency keys.
fn principal(service: &ServiceName) -> String {
    format!("service:{}", service.0)
}

fn id(field: &'static str, text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::InvalidId(field))
}

/// Takes the event out of the message: with and without it, a message with the same key is the same command. The
/// release before sends it as the key alone; an event that nobody names is that key, for this release only.
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
) -> Result<Earn, ApiError> {
    let (purchase_minor, points) = match message.basis {
        Some(Basis::PurchaseMinor(minor)) => (Some(Some(minor)), None),
        Some(Basis::Points(points)) => (None, Some(Some(points))),
        None => (None, None),
    };
    let member = MemberId(id("member_id", &message.member_id)?);
    let merchant = id("merchant_id", &message.merchant_id)?;
    let currency = Some(message.currency).filter(|currency| !currency.is_empty());
    let reference = message.reference;
    let asked = Asked { purchase_minor, points, currency, merchant, reference };
    let at = match &*message.occurred_at {
        "" => None,
        text => Some(text.parse().map_err(|_| Error::from(Refused::Time))?),
    };
    let earn = Earn::try_new(Actor::Service(service), Recipient::Member(member), asked, unit)?;
    Ok(Earn { at, event: Some(event), ..earn })
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
