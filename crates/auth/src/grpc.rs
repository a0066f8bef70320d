//! What the other services need, over gRPC.

use kit::grpc::Allowlist;
use kit::{ApiError, Kind};
use proto::auth::v1::auth_server::{Auth as Rpc, AuthServer};
use proto::auth::v1::{
    GetKeysRequest, GetKeysResponse, GetMemberRequest, GetMemberResponse, IssueGrantRequest,
    IssueGrantResponse, IssueServiceTokenRequest, IssueServiceTokenResponse, Key,
    ValidateTokenRequest, ValidateTokenResponse,
};
use secrecy::ExposeSecret as _;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::app::{Addressee, Auth, Introspection};

/// The first two are how a service gets to have a token at all.
const ALLOW: Allowlist = &[
    ("/auth.v1.Auth/GetKeys", &["*"]),
    ("/auth.v1.Auth/IssueServiceToken", &["*"]),
    // No service of ours calls these, so none may. `inspector` is a client that no deployment has: an operator
    // makes it for a program of their own (docs/security.md).
    ("/auth.v1.Auth/ValidateToken", &["inspector"]),
    ("/auth.v1.Auth/GetMember", &["inspector"]),
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
        _: Request<IssueGrantRequest>,
    ) -> Result<Response<IssueGrantResponse>, Status> {
        Err(Status::unimplemented("grants are not issued yet"))
    }

    async fn get_member(
        &self,
        request: Request<GetMemberRequest>,
    ) -> Result<Response<GetMemberResponse>, Status> {
        let id =
            request.into_inner().member_id.parse().map_err(|_| {
                ApiError::new(Kind::Malformed, "invalid_id", "member_id is no UUID")
            })?;
        let member = self.0.addressee(id).await.map_err(ApiError::from)?;
        let Addressee { display_name, email } = member;
        Ok(Response::new(GetMemberResponse { display_name, email: email.unwrap_or_default() }))
    }
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
