//! The same use cases for the other services, over gRPC.

use kit::ApiError;
use kit::caller::{ServiceCaller, Verifier};
use kit::grpc::Allowlist;
use kit::idempotency::Key;
use prost::Message as _;
use proto::points::v1::earn_request::Basis as BasisMessage;
use proto::points::v1::points_server::{Points as Rpc, PointsServer};
use proto::points::v1::{EarnRequest, EarnResponse, GetBalanceRequest, GetBalanceResponse};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use crate::app::{AccountView, Earn, Error, Points, Receipt, Recipient, Which};
use crate::domain::{Amount, Basis, MemberId, MerchantId, Purchase, Reference};

const EARN: &str = "/points.v1.Points/Earn";
const ALLOW: Allowlist = &[(EARN, &["booking"]), ("/points.v1.Points/GetBalance", &["booking"])];

pub fn routes(points: Points, verifier: Verifier) -> Routes {
    kit::grpc::guard(Routes::new(PointsServer::new(Server(points))), verifier, ALLOW)
}

struct Server(Points);

#[tonic::async_trait]
impl Rpc for Server {
    async fn earn(&self, request: Request<EarnRequest>) -> Result<Response<EarnResponse>, Status> {
        let principal = principal(&request)?;
        let message = request.into_inner();
        let key = Key::grpc(&message.idempotency_key, EARN, &message.encode_to_vec())
            .map_err(ApiError::from)?;
        let command = Earn::try_from(message).map_err(ApiError::from)?;

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

/// Whose idempotency key it is: the calling service's, which the guard has let in by name.
fn principal<T>(request: &Request<T>) -> Result<String, Status> {
    let caller = request.extensions().get::<ServiceCaller>();
    let caller = caller.ok_or_else(|| Status::unauthenticated("this needs a service token"))?;
    Ok(format!("service:{}", caller.name))
}

fn id(field: &'static str, text: &str) -> Result<Uuid, Error> {
    text.parse().map_err(|_| Error::InvalidId(field))
}

impl TryFrom<EarnRequest> for Earn {
    type Error = Error;

    fn try_from(message: EarnRequest) -> Result<Self, Error> {
        let basis = match message.basis {
            Some(BasisMessage::PurchaseMinor(minor)) => Basis::Purchase(Purchase::new(minor)?),
            Some(BasisMessage::Points(points)) => Basis::Points(Amount::new(points)?),
            None => return Err(Error::OneBasis),
        };
        Ok(Self {
            to: Recipient::Member(MemberId(id("member_id", &message.member_id)?)),
            basis,
            merchant: MerchantId(id("merchant_id", &message.merchant_id)?),
            reference: Reference::new(message.reference)?,
        })
    }
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
