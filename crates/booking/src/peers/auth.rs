//! Auth over gRPC: signs grants for members.

use kit::breaker::{self, Breaker};
use kit::grpc::Peer;
use proto::auth::v1::auth_client::AuthClient;
use proto::auth::v1::issue_grant_request::Purpose;
use proto::auth::v1::{HoldPoints, IssueGrantRequest};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use tonic::{Code, Status, async_trait};
use uuid::Uuid;

use super::is_outage;

/// A member's consent to a hold of points, signed by auth. Only points may see it.
pub type Grant = SecretString;

/// A signer of grants.
#[async_trait]
pub trait Grants: Send + Sync + 'static {
    /// Signs a grant for one hold. It outlives the member's access token.
    async fn grant(&self, wanted: GrantHold<'_>) -> Result<Grant, NoGrant>;
}

/// A request for a grant, with the member's access token.
pub struct GrantHold<'a> {
    pub access_token: &'a SecretString,
    pub hold_id: Uuid,
    pub points: i64,
    pub merchant_id: Uuid,
}

/// The reason that there is no grant, without any text of auth.
#[derive(Debug, Error)]
pub enum NoGrant {
    /// The access token is invalid, expired or revoked.
    #[error("access token refused by auth")]
    Refused,
    #[error("auth did not sign a grant: {0}")]
    Away(&'static str),
}

/// Auth over gRPC.
#[derive(Clone)]
pub struct AuthOverGrpc {
    auth: AuthClient<Peer>,
    breaker: Breaker,
}

impl AuthOverGrpc {
    /// Connects lazily to the auth that issues the service's own tokens.
    pub fn new(auth: &kit::config::Auth) -> anyhow::Result<Self> {
        let peer = Peer::new(&auth.auth_grpc_url, auth)?;
        let breaker = Breaker::new("auth", breaker::Config::default());
        Ok(Self { auth: AuthClient::new(peer), breaker })
    }
}

#[async_trait]
impl Grants for AuthOverGrpc {
    async fn grant(&self, wanted: GrantHold<'_>) -> Result<Grant, NoGrant> {
        let purpose = HoldPoints {
            hold_id: wanted.hold_id.to_string(),
            points: wanted.points,
            merchant_id: wanted.merchant_id.to_string(),
        };
        let request = IssueGrantRequest {
            access_token: wanted.access_token.expose_secret().to_owned(),
            purpose: Some(Purpose::HoldPoints(purpose)),
        };
        let mut auth = self.auth.clone();
        let call = auth.issue_grant(request);
        let answer = self.breaker.call(call, |answer| answer.as_ref().is_err_and(is_outage)).await;
        match answer {
            Err(breaker::Open { .. }) => Err(NoGrant::Away("breaker_open")),
            Ok(Ok(granted)) => Ok(granted.into_inner().grant.into()),
            Ok(Err(status)) => Err(match status.code() {
                Code::FailedPrecondition if is_about_member(&status) => NoGrant::Refused,
                Code::Unauthenticated => NoGrant::Away("own_token_refused"),
                Code::DeadlineExceeded => NoGrant::Away("timeout"),
                Code::Unavailable => NoGrant::Away("unavailable"),
                _ => NoGrant::Away("failed"),
            }),
        }
    }
}

/// Returns `true` when auth refused the member's token rather than the service's own.
fn is_about_member(status: &Status) -> bool {
    let reason = kit::error::reason(status);
    matches!(reason.as_deref(), Some("invalid_token" | "token_expired" | "session_revoked"))
}

/// Signs nothing, for a service without payments.
pub struct NoGrants;

#[async_trait]
impl Grants for NoGrants {
    async fn grant(&self, _: GrantHold<'_>) -> Result<Grant, NoGrant> {
        Err(NoGrant::Away("not_configured"))
    }
}
