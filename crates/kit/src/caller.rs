//! Who is asking: verifies tokens locally with keys from auth.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::error::ApiError;

/// What a person may be allowed to do, beyond their own things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Member,
    Staff,
    MerchantAdmin,
    Operator,
}

/// A person with a valid access token. As an extractor: 401 without one.
#[derive(Clone, Debug)]
pub struct Caller {
    pub id: Uuid,
    pub roles: Vec<Role>,
}

impl Caller {
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// 403 unless the caller has one of these roles.
    pub fn require(&self, any_of: &[Role]) -> Result<(), ApiError> {
        let _ = any_of;
        todo!()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(_parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        todo!()
    }
}

/// A service with a valid service token, put into the extensions of a gRPC request by
/// [`crate::grpc::guard`].
#[derive(Clone, Debug)]
pub struct ServiceCaller {
    pub name: String,
}

/// Verifies tokens with the keys it holds. Cheap to clone. `kit::http::edge` and
/// `kit::grpc::guard` carry it to the extractors.
#[derive(Clone)]
pub struct Verifier {}

impl Verifier {
    /// Replaces the keys: `(kid, 32-byte Ed25519 public key)`.
    pub fn set_keys(&self, _keys: Vec<(String, Vec<u8>)>) {
        todo!()
    }

    /// A verifier without keys yet; every token is refused until it has some.
    pub fn empty(_clock: crate::Clock) -> Self {
        todo!()
    }

    /// Keeps the keys fresh from auth over gRPC: at once, every minute, and on an unknown key id.
    pub fn from_auth(_config: &crate::config::Auth, _clock: crate::Clock) -> anyhow::Result<Self> {
        todo!()
    }
}
