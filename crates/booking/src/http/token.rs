//! The caller's own access token, for what they ask of another service through us.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use secrecy::SecretString;

/// As it came. That it is good the edge has found out, before any handler runs.
pub(super) struct AccessToken(pub(super) SecretString);

impl<S: Send + Sync> FromRequestParts<S> for AccessToken {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let value = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.split_once(' ')).map(|(_, token)| token);
        Ok(Self(token.unwrap_or_default().into()))
    }
}
