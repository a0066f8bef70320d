//! The API for the other services, over gRPC.

use kit::caller::{Refused, ServiceCaller};
use kit::grpc::Allowlist;
use kit::{ApiError, Kind};
use proto::auth::v1::auth_server::{Auth as Rpc, AuthServer};
use proto::auth::v1::issue_grant_request::Purpose;
use proto::auth::v1::{
    GetKeysRequest, GetKeysResponse, GetMemberRequest, GetMemberResponse, IssueGrantRequest,
    IssueGrantResponse, IssueServiceTokenRequest, IssueServiceTokenResponse, Key,
    ValidateTokenRequest, ValidateTokenResponse,
};
use secrecy::ExposeSecret as _;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::app::{Addressee, Auth, HoldPoints, Introspection};

/// The services that may call each method. The first two are open: a service without a token needs them to get one.
const ALLOW: Allowlist = &[
    ("/auth.v1.Auth/GetKeys", &["*"]),
    ("/auth.v1.Auth/IssueServiceToken", &["*"]),
    // No service calls these, so none may. `inspector` is a client that no deployment has: an operator creates it for
    // a program of their own (docs/security.md).
    ("/auth.v1.Auth/ValidateToken", &["inspector"]),
    ("/auth.v1.Auth/GetMember", &["inspector"]),
    // Members confirm payments at booking.
    ("/auth.v1.Auth/IssueGrant", &["booking"]),
];

pub fn routes(auth: Auth) -> Routes {
    let verifier = auth.verifier();
    kit::grpc::guard(Routes::new(AuthServer::new(Server(auth))), verifier, ALLOW)
}

struct Server(Auth);

#[tonic::async_trait]
impl Rpc for Server {
    async fn get_keys(
        &self,
        _: Request<GetKeysRequest>,
    ) -> Result<Response<GetKeysResponse>, Status> {
        let keys = self.0.public_keys().into_iter();
        let keys = keys.map(|key| Key { kid: key.kid, public_key: key.bytes });
        Ok(Response::new(GetKeysResponse { keys: keys.collect() }))
    }

    async fn validate_token(
        &self,
        request: Request<ValidateTokenRequest>,
    ) -> Result<Response<ValidateTokenResponse>, Status> {
        let token = request.into_inner().token;
        let known = self.0.introspect(&token).await.map_err(ApiError::from)?;
        Ok(Response::new(known.map(ValidateTokenResponse::from).unwrap_or_default()))
    }

    async fn issue_service_token(
        &self,
        request: Request<IssueServiceTokenRequest>,
    ) -> Result<Response<IssueServiceTokenResponse>, Status> {
        let IssueServiceTokenRequest { client_id, client_secret } = request.into_inner();
        let issued = self.0.service_token(&client_id, &client_secret.into()).await;
        let issued = issued.map_err(ApiError::from)?;
        Ok(Response::new(IssueServiceTokenResponse {
            token: issued.token.expose_secret().to_owned(),
            expires_in: issued.expires_in.as_secs().try_into().unwrap_or(i64::MAX),
        }))
    }

    async fn issue_grant(
        &self,
        request: Request<IssueGrantRequest>,
    ) -> Result<Response<IssueGrantResponse>, Status> {
        let caller = request.extensions().get::<ServiceCaller>().cloned();
        let service = caller.ok_or(Refused::Invalid).map_err(ApiError::from)?.name;
        let IssueGrantRequest { access_token, purpose } = request.into_inner();
        let terms = purpose.ok_or_else(|| refused("purpose_missing", "a grant needs a purpose"))?;
        let Purpose::HoldPoints(terms) = terms;
        let issued = self.0.issue_grant(&service, &access_token, terms.try_into()?).await;
        let issued = issued.map_err(|error| of_member(ApiError::from(error)))?;
        Ok(Response::new(IssueGrantResponse {
            grant: issued.grant.expose_secret().to_owned(),
            expires_in: issued.expires_in.as_secs().try_into().unwrap_or(i64::MAX),
        }))
    }

    async fn get_member(
        &self,
        request: Request<GetMemberRequest>,
    ) -> Result<Response<GetMemberResponse>, Status> {
        let id = request.into_inner().member_id.parse();
        let id = id.map_err(|_| refused("invalid_id", "member_id is not a UUID"))?;
        let member = self.0.addressee(id).await.map_err(ApiError::from)?;
        let Addressee { display_name, email } = member;
        Ok(Response::new(GetMemberResponse { display_name, email: email.unwrap_or_default() }))
    }
}

impl TryFrom<proto::auth::v1::HoldPoints> for HoldPoints {
    type Error = Status;

    fn try_from(message: proto::auth::v1::HoldPoints) -> Result<Self, Status> {
        let id = |text: &str, wrong| text.parse().map_err(|_| refused("invalid_id", wrong));
        if !(1..=MOST_POINTS).contains(&message.points) {
            return Err(refused("invalid_amount", "points must be 1 to 1,000,000,000"));
        }
        Ok(Self {
            hold_id: id(&message.hold_id, "hold_id is not a UUID")?,
            points: message.points,
            merchant_id: id(&message.merchant_id, "merchant_id is not a UUID")?,
        })
    }
}

/// Converts a refusal of the member's token. `UNAUTHENTICATED` is about the calling service's own token; the member's,
/// in the request, is a failed precondition, and the reason says which.
fn of_member(error: ApiError) -> Status {
    match error.kind() {
        Kind::Unauthenticated => {
            let detail = "the member's access token is not valid";
            ApiError::new(Kind::Refused, error.code().to_owned(), detail).into()
        }
        _ => error.into(),
    }
}

/// The largest amount that points takes in one command.
const MOST_POINTS: i64 = 1_000_000_000;

fn refused(code: &'static str, detail: &'static str) -> Status {
    ApiError::new(Kind::Malformed, code, detail).into()
}

impl From<Introspection> for ValidateTokenResponse {
    fn from(known: Introspection) -> Self {
        Self {
            active: true,
            member_id: known.member_id.to_string(),
            roles: known.roles.iter().map(|role| role.as_str().to_owned()).collect(),
            expires_at: known.expires_at,
        }
    }
}
