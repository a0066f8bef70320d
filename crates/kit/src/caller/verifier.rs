//! Verification of tokens.

use std::sync::Arc;

use uuid::Uuid;

use super::keys::Keys;
use super::refused::Refused;
use super::revoked::Revoked;
use super::ring_provider;
use super::signature_cache::SignatureCache;
use super::token::{self, Claims};
use crate::channel::channel;
use crate::clock::Clock;

/// Verifies tokens with the keys of auth. Cheap to clone. `kit::http::edge` and `kit::grpc::guard` pass it to
/// the extractors.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    /// The service that verifies; a member's token has to name it.
    name: String,
    clock: Clock,
    keys: Arc<Keys>,
    revoked: Revoked,
    signatures: SignatureCache,
}

/// A service with a valid service token. [`crate::grpc::guard`] stores it in the extensions of a gRPC
/// request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCaller {
    pub name: String,
}

impl Verifier {
    /// Creates a verifier of this service without keys. It refuses every token until it has keys.
    pub fn empty(service: &str, clock: Clock) -> Self {
        Self::new(service, clock, Arc::default())
    }

    /// Creates a verifier that fetches keys from auth: now, every minute, and on an unknown key id. While
    /// auth is unavailable and no keys are known, tokens are refused with 503 `keys_unavailable`. Must be
    /// called inside a tokio runtime.
    pub fn from_auth(config: &crate::config::Auth, clock: Clock) -> anyhow::Result<Self> {
        let channel = channel(&config.auth_grpc_url, &config.tls)?;
        Ok(Self::new(&config.service_client_id, clock, Keys::from_auth(channel)))
    }

    fn new(service: &str, clock: Clock, keys: Arc<Keys>) -> Self {
        ring_provider::install();
        Self(Arc::new(Inner {
            name: service.to_owned(),
            clock,
            keys,
            revoked: Revoked::default(),
            signatures: SignatureCache::default(),
        }))
    }

    /// Replaces the keys, given as `(kid, 32-byte Ed25519 public key)`. A removed key verifies nothing from
    /// now on.
    pub fn set_keys(&self, keys: Vec<(String, Vec<u8>)>) {
        self.0.keys.set(keys);
    }

    /// Returns a function that gives the verifier back until its last clone is dropped.
    pub(crate) fn downgrade(&self) -> impl Fn() -> Option<Self> + Send + 'static {
        let weak = Arc::downgrade(&self.0);
        move || weak.upgrade().map(Self)
    }

    /// Refuses the tokens of these sessions from now on.
    pub fn revoke(&self, sessions: &[Uuid]) {
        self.0.revoked.add(sessions);
    }

    /// Returns the claims of a valid member token that names this service and whose session has not ended.
    pub async fn member(&self, token: &str) -> Result<token::Member, Refused> {
        self.member_of(&self.0.name, token).await
    }

    /// Like [`Self::member`], for a token that names another service and was passed on by it.
    pub async fn member_of(&self, service: &str, token: &str) -> Result<token::Member, Refused> {
        let claims = self.any_member(token).await?;
        if claims.is_for(service) { Ok(claims) } else { Err(Refused::Invalid) }
    }

    /// Like [`Self::member`], for a token that names any service. It does not authorize a request.
    pub async fn any_member(&self, token: &str) -> Result<token::Member, Refused> {
        // Loaded before the token is verified, so that a change of keys in between is noticed.
        let keys = self.0.keys.current();
        let claims: token::Member = match self.0.signatures.get(token, &keys) {
            Some(claims) => token::in_time(claims, self.0.clock.now())?,
            None => {
                let claims = self.verify::<token::Member>(token).await?.for_all();
                self.0.signatures.add(token, claims.clone(), keys);
                claims
            }
        };
        if self.0.revoked.contains(claims.sid) { Err(Refused::Revoked) } else { Ok(claims) }
    }

    /// Returns the service named by a valid service token.
    pub async fn service(&self, token: &str) -> Result<ServiceCaller, Refused> {
        let claims: token::Service = self.verify(token).await?;
        Ok(ServiceCaller { name: claims.sub })
    }

    /// Returns the claims of a valid grant. The caller must compare them with the request.
    pub async fn grant(&self, token: &str) -> Result<token::Grant, Refused> {
        self.verify(token).await
    }

    async fn verify<C: Claims>(&self, token: &str) -> Result<C, Refused> {
        let key = self.0.keys.find(&token::key_id::<C>(token)?).await?;
        token::verify(token, &key, self.0.clock.now())
    }
}
