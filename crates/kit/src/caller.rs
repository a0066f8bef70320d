//! The caller of a request. Tokens are verified locally, with keys from auth.

mod keys;
mod proven;
mod revoked;
mod ring_provider;
pub mod token;
mod verifier;

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::verifier::Verifier;
use crate::error::{ApiError, Class, Classify, Kind};

/// A permission beyond a person's own data.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Member,
    Staff,
    MerchantAdmin,
    Operator,
}

impl Role {
    /// Returns the name used in tokens, in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Staff => "staff",
            Self::MerchantAdmin => "merchant_admin",
            Self::Operator => "operator",
        }
    }
}

/// The name is not a role's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the role must be member, staff, merchant_admin or operator")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        [Self::Member, Self::Staff, Self::MerchantAdmin, Self::Operator]
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or(UnknownRole)
    }
}

/// A person with a valid access token. As an extractor it answers 401 without one.
#[derive(Clone, Debug)]
pub struct Caller {
    pub id: Uuid,
    /// The session in which the token was issued.
    pub session: Uuid,
    pub roles: Vec<Role>,
}

impl Caller {
    /// Returns true when the caller has this role.
    pub fn has(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Refuses, with 403, a caller without any of these roles.
    pub fn require(&self, any_of: &[Role]) -> Result<(), ApiError> {
        if any_of.iter().any(|role| self.has(*role)) {
            return Ok(());
        }
        Err(Refused::Forbidden.into())
    }
}

/// The claims of the request's token, stored by a layer that has verified it.
#[derive(Clone)]
pub(crate) struct Verified(pub(crate) token::Member);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let member = match parts.extensions.remove::<Verified>() {
            Some(Verified(member)) => member,
            None => {
                let verifier = parts.extensions.get::<Verifier>().ok_or(Refused::NoVerifier)?;
                verifier.member(bearer(&parts.headers)?).await?
            }
        };
        observability::context::set_user(member.sub);
        Ok(Self { id: member.sub, session: member.sid, roles: member.roles })
    }
}

/// A session with a valid access token for any service. It permits ending the session and nothing else. As an
/// extractor it answers 401 without a token.
#[derive(Clone, Copy, Debug)]
pub struct AnySession {
    pub member: Uuid,
    pub session: Uuid,
}

impl<S: Send + Sync> FromRequestParts<S> for AnySession {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let verifier = parts.extensions.get::<Verifier>().ok_or(Refused::NoVerifier)?;
        let token = verifier.any_member(bearer(&parts.headers)?).await?;
        observability::context::set_user(token.sub);
        Ok(Self { member: token.sub, session: token.sid })
    }
}

/// A service with a valid service token. [`crate::grpc::guard`] stores it in the extensions of a gRPC
/// request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCaller {
    pub name: String,
}

/// The reason for refusing a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Missing, malformed, forged, or issued for another service. The answer does not say which.
    #[error("a valid access token is required")]
    Invalid,
    #[error("the access token has expired")]
    Expired,
    /// A valid token whose session has ended.
    #[error("the session has ended; sign in again")]
    Revoked,
    #[error("your roles do not allow this")]
    Forbidden,
    #[error("tokens cannot be verified right now")]
    KeysUnavailable,
    #[error("the router has no verifier: it is not inside `kit::http::edge`")]
    NoVerifier,
}

impl Classify for Refused {
    fn class(&self) -> Class {
        match self {
            Self::Invalid => Kind::Unauthenticated.code("invalid_token"),
            Self::Expired => Kind::Unauthenticated.code("token_expired"),
            Self::Revoked => Kind::Unauthenticated.code("session_revoked"),
            Self::Forbidden => Kind::Forbidden.code("forbidden"),
            Self::KeysUnavailable => Kind::Unavailable.code("keys_unavailable"),
            Self::NoVerifier => Kind::Internal.code("internal_error"),
        }
    }
}

/// Returns the token of the only `Authorization: Bearer` header. Two headers are refused: another program
/// could read the other one.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Refused::Invalid) };
    let (scheme, token) =
        value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or(Refused::Invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token) } else { Err(Refused::Invalid) }
}
