//! Parameters in the URI, and the version in `If-Match`.

use axum::extract::path::ErrorKind;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::HeaderName;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::{decode, strict};
use crate::error::{ApiError, Kind};

/// Path parameters. A malformed id is answered with 400 `invalid_id`.
#[derive(Debug)]
pub struct Path<T>(pub T);

/// Query parameters. An invalid one is answered with 422 and the field's name.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = axum::extract::Path::from_request_parts(parts, state).await.map_err(
            |error| match error {
                PathRejection::FailedToDeserializePathParams(error)
                    if matches!(error.kind(), ErrorKind::InvalidUtf8InPathParam { .. }) =>
                {
                    strict::invalid_encoding()
                }
                PathRejection::FailedToDeserializePathParams(_) => invalid_id(),
                error => ApiError::internal(&error),
            },
        )?;
        let raw = RawPathParams::from_request_parts(parts, state).await;
        if raw.is_ok_and(|raw| raw.iter().any(|(_, value)| value.contains('\0'))) {
            return Err(invalid_id());
        }
        Ok(Self(path.0))
    }
}

fn invalid_id() -> ApiError {
    ApiError::new(Kind::Malformed, "invalid_id", "an id in the path is malformed")
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (percent_decoded(name)?, percent_decoded(value)?);
            if name.contains('\0') || value.contains('\0') {
                return Err(strict::invalid_character(name.replace('\0', "")));
            }
        }
        decode::query(query).map(Self)
    }
}

/// Usual decoders replace invalid UTF-8 by U+FFFD, with which a filter could match by accident.
fn percent_decoded(text: &str) -> Result<String, ApiError> {
    String::from_utf8(percent_encoding::percent_decode_str(text).collect())
        .map_err(|_| strict::invalid_encoding())
}

/// The version that a client has read, from `If-Match`; 428 `precondition_required` without one. A foreign
/// tag becomes version 0, which no record has.
#[derive(Debug)]
pub struct IfMatch(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let tag = parts.headers.get(IF_MATCH).ok_or_else(|| {
            let detail = "the header If-Match is required, with the ETag that was read";
            ApiError::new(Kind::PreconditionRequired, "precondition_required", detail)
        })?;
        let version = tag.to_str().ok().and_then(|tag| tag.strip_prefix('"')?.strip_suffix('"'));
        Ok(Self(version.and_then(|version| version.parse().ok()).unwrap_or(0)))
    }
}

/// Returns the answer's `ETag`, for the next [`IfMatch`]: `(etag(version), Json(view))`.
pub fn etag(version: i64) -> [(HeaderName, String); 1] {
    [(ETAG, format!("\"{version}\""))]
}
