//! An auth to fetch keys and service tokens from, when the real one is not what is tested.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kit::caller::token::GRANT_LIFE;
use kit::config;
use proto::auth::v1::auth_server::{Auth, AuthServer};
use proto::auth::v1::{
    GetKeysRequest, GetKeysResponse, GetMemberRequest, GetMemberResponse, IssueGrantRequest,
    IssueGrantResponse, IssueServiceTokenRequest, IssueServiceTokenResponse, Key,
    ValidateTokenRequest, ValidateTokenResponse, issue_grant_request,
};
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use crate::grpc::{Listening, listen};
use crate::tokens::Issuer;

/// Publishes an issuer's keys and gives a service token to whoever asks. Cheap to clone.
#[derive(Clone)]
pub struct FakeAuth {
    issuer: Arc<Mutex<Issuer>>,
    token_seconds: Arc<AtomicU64>,
    issued: Arc<AtomicUsize>,
    asked_for_keys: Arc<AtomicUsize>,
}

impl FakeAuth {
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer: Arc::new(Mutex::new(issuer)),
            token_seconds: Arc::new(AtomicU64::new(300)),
            issued: Arc::default(),
            asked_for_keys: Arc::default(),
        }
    }

    /// From now on this issuer's keys and tokens, and no longer the first one's.
    pub fn rotate_to(&self, issuer: Issuer) {
        *self.issuer.lock().unwrap_or_else(PoisonError::into_inner) = issuer;
    }

    /// Sets the lifetime that it states for tokens from now on, in whole seconds.
    pub fn tokens_live_for(&self, life: Duration) {
        self.token_seconds.store(life.as_secs(), Ordering::SeqCst);
    }

    /// To be served.
    pub fn routes(&self) -> Routes {
        Routes::new(AuthServer::new(self.clone()))
    }

    /// Serves on a free port.
    pub async fn listen(&self) -> Listening {
        listen(self.routes()).await
    }

    /// Counts the service tokens that it gave out.
    pub fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }

    /// Counts the requests for its keys.
    pub fn asked_for_keys(&self) -> usize {
        self.asked_for_keys.load(Ordering::SeqCst)
    }
}

impl FakeAuth {
    fn issuer(&self) -> Issuer {
        self.issuer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Returns the configuration of auth for the service `id`.
pub fn config(auth_grpc_url: &str, id: &str) -> config::Auth {
    config::Auth {
        auth_grpc_url: auth_grpc_url.to_owned(),
        service_client_id: id.to_owned(),
        service_client_secret: "a secret that only tests know, 32 bytes".to_owned().into(),
        tls: config::PeerTls::default(),
    }
}

#[tonic::async_trait]
impl Auth for FakeAuth {
    async fn get_keys(
        &self,
        _: Request<GetKeysRequest>,
    ) -> Result<Response<GetKeysResponse>, Status> {
        self.asked_for_keys.fetch_add(1, Ordering::SeqCst);
        let keys = self.issuer().keys().into_iter();
        let keys = keys.map(|(kid, public_key)| Key { kid, public_key }).collect();
        Ok(Response::new(GetKeysResponse { keys }))
    }

    async fn validate_token(
        &self,
        _: Request<ValidateTokenRequest>,
    ) -> Result<Response<ValidateTokenResponse>, Status> {
        Err(Status::unimplemented("not what this stands in for"))
    }

    async fn get_member(
        &self,
        _: Request<GetMemberRequest>,
    ) -> Result<Response<GetMemberResponse>, Status> {
        Err(Status::unimplemented("not what this stands in for"))
    }

    async fn issue_grant(
        &self,
        request: Request<IssueGrantRequest>,
    ) -> Result<Response<IssueGrantResponse>, Status> {
        let issuer = self.issuer();
        let verifier = issuer.verifier();
        let refused = |_| Status::unauthenticated("this needs valid tokens");
        let header = request.metadata().get("authorization").and_then(|text| text.to_str().ok());
        let token = header.and_then(|text| text.strip_prefix("Bearer ")).unwrap_or_default();
        let service = verifier.service(token).await.map_err(refused)?;
        let asked = request.into_inner();
        let member = verifier.member(&asked.access_token).await.map_err(|refused| {
            let detail = "the member's access token is not good";
            kit::ApiError::new(kit::Kind::Refused, kit::Classify::code(&refused), detail)
        })?;
        let Some(issue_grant_request::Purpose::HoldPoints(hold)) = asked.purpose else {
            return Err(Status::invalid_argument("a grant has a purpose"));
        };
        let id = |text: &str| text.parse().map_err(|_| Status::invalid_argument("no UUID"));
        let (hold_id, merchant) = (id(&hold.hold_id)?, id(&hold.merchant_id)?);
        let grant = issuer.grant(member.sub, &service.name, hold_id, hold.points, merchant);
        let expires_in = GRANT_LIFE.as_secs().try_into().unwrap_or(i64::MAX);
        Ok(Response::new(IssueGrantResponse { grant, expires_in }))
    }

    async fn issue_service_token(
        &self,
        request: Request<IssueServiceTokenRequest>,
    ) -> Result<Response<IssueServiceTokenResponse>, Status> {
        self.issued.fetch_add(1, Ordering::SeqCst);
        let token = self.issuer().service(&request.into_inner().client_id);
        let expires_in = self.token_seconds.load(Ordering::SeqCst).try_into().unwrap_or(i64::MAX);
        Ok(Response::new(IssueServiceTokenResponse { token, expires_in }))
    }
}
