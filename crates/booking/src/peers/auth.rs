//! Auth over gRPC, which signs grants for members.

use std::sync::Arc;

use kit::breaker::{self, Breaker};
use kit::grpc::Peer;
use proto::auth::v1::auth_client::AuthClient;
use proto::auth::v1::issue_grant_request::Purpose;
use proto::auth::v1::{HoldPoints, IssueGrantRequest};
use secrecy::{ExposeSecret as _, SecretString};
use thiserror::Error;
use tonic::{Code, Status, async_trait};
use uuid::Uuid;

use super::points::is_outage;

/// A member's consent, signed by auth: it is shown to points, and to nobody else.
pub type Grant = SecretString;

/// The service that signs for members.
#[async_trait]
pub trait Grants: Send + Sync + 'static {
    /// A grant for one hold, which outlives the token of the member who asks for it.
    async fn grant(&self, asked: GrantHold<'_>) -> Result<Grant, NoGrant>;
}

/// Points to be held for a payment that the member with this access token asks for.
pub struct GrantHold<'a> {
    pub access_token: &'a SecretString,
    pub hold_id: Uuid,
    pub points: i64,
    pub merchant_id: Uuid,
}

/// The reason that there is no grant. No text of auth's is in it.
#[derive(Debug, Error)]
pub enum NoGrant {
    /// The token is not, or no longer, the member's.
    #[error("auth refused to sign")]
    Refused,
    #[error("auth did not sign: {0}")]
    Away(&'static str),
}

/// The real one.
#[derive(Clone)]
pub struct AuthOverGrpc {
    auth: AuthClient<Peer>,
    breaker: Breaker,
}

impl AuthOverGrpc {
    /// Connects lazily to where the service's own tokens come from.
    pub fn new(auth: &kit::config::Auth) -> anyhow::Result<Self> {
        let peer = Peer::new(&auth.auth_grpc_url, auth)?;
        let breaker = Breaker::new("auth", breaker::Config::default());
        Ok(Self { auth: AuthClient::new(peer), breaker })
    }

    /// The same, for everybody who needs it.
    pub fn shared(auth: &kit::config::Auth) -> anyhow::Result<Arc<dyn Grants>> {
        Ok(Arc::new(Self::new(auth)?))
    }
}

#[async_trait]
impl Grants for AuthOverGrpc {
    async fn grant(&self, asked: GrantHold<'_>) -> Result<Grant, NoGrant> {
        let purpose = HoldPoints {
            hold_id: asked.hold_id.to_string(),
            points: asked.points,
            merchant_id: asked.merchant_id.to_string(),
        };
        let request = IssueGrantRequest {
            access_token: asked.access_token.expose_secret().to_owned(),
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

/// True when auth refused the member's token, and not ours.
fn is_about_member(status: &Status) -> bool {
    let reason = kit::error::reason(status);
    matches!(reason.as_deref(), Some("invalid_token" | "token_expired" | "session_revoked"))
}

/// Nobody signs: for a service that takes no payments.
pub struct NoGrants;

#[async_trait]
impl Grants for NoGrants {
    async fn grant(&self, _: GrantHold<'_>) -> Result<Grant, NoGrant> {
        Err(NoGrant::Away("not_configured"))
    }
}
