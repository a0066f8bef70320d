//! The caller of a request. Tokens are verified locally, with keys from auth.

mod keys;
mod refused;
mod revoked;
mod ring_provider;
mod role;
mod signature_cache;
pub mod token;
mod verifier;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use uuid::Uuid;

pub use self::refused::Refused;
pub use self::revoked::REMEMBERED;
pub use self::role::{Role, UnknownRole};
pub use self::verifier::{ServiceCaller, Verifier};
use crate::error::ApiError;

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

/// Returns the token of the only `Authorization: Bearer` header. Two headers are refused: another program
/// could read the other one.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<&str, Refused> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(Refused::Invalid) };
    let (scheme, token) =
        value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or(Refused::Invalid)?;
    if scheme.eq_ignore_ascii_case("bearer") { Ok(token) } else { Err(Refused::Invalid) }
}
