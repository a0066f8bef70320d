//! The caller's access token, to act for them at another service.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use secrecy::SecretString;

/// The token of the request. The edge has verified it before any handler runs.
pub(super) struct AccessToken(pub(super) SecretString);

impl<S: Send + Sync> FromRequestParts<S> for AccessToken {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let value = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.split_once(' ')).map(|(_, token)| token);
        Ok(Self(token.unwrap_or_default().into()))
    }
}
