//! Bodies: JSON, and commands with their idempotency key.

use axum::body::Body;
use axum::extract::{FromRequest, MatchedPath, OriginalUri, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{BodyLimit, Limits, decode, strict};
use crate::error::{ApiError, FieldError, Kind};
use crate::idempotency;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// Maximum excess of a too large body that is still read, as RFC 9112 §9.6 advises: with unread bytes in its
/// buffer the kernel resets the connection, and the client may lose the answer.
const DISCARD: usize = 1024 * 1024;

/// A JSON body. Unknown fields are refused when `T` has `deny_unknown_fields`, as every `T` must.
#[derive(Debug)]
pub struct Json<T>(pub T);

/// A command: its JSON body and its `Idempotency-Key`. Every POST that changes state takes one.
#[derive(Debug)]
pub struct Command<T> {
    pub key: idempotency::Key,
    pub body: T,
}

/// An unparsed JSON body, for formats defined by others.
#[derive(Debug)]
pub struct RawJson(pub Vec<u8>);

/// An unparsed form of an HTML page.
#[derive(Debug)]
pub struct RawForm(pub Vec<u8>);

impl<S: Send + Sync> FromRequest<S> for RawJson {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        of_media_type(&parts.headers, JSON)?;
        Ok(Self(bytes(&parts, body).await?))
    }
}

impl<S: Send + Sync> FromRequest<S> for RawForm {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        of_media_type(&parts.headers, FORM)?;
        Ok(Self(bytes(&parts, body).await?))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        Ok(Self(decode::json(value(&parts, body).await?)?))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Command<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        // The key is checked before the body is read.
        let key = key_value(&parts.headers)?;
        let key = idempotency::Key::new(key, &route(&parts), b"")?;
        let body = value(&parts, body).await?;
        let key =
            idempotency::Key::new(&key.value, &key.route, canonical(&parts, &body).as_bytes())?;
        Ok(Self { key, body: decode::json(body)? })
    }
}

async fn value(parts: &Parts, body: Body) -> Result<Value, ApiError> {
    if body.is_end_stream() {
        return Err(missing_body());
    }
    of_media_type(&parts.headers, JSON)?;
    let bytes = bytes(parts, body).await?;
    if bytes.is_empty() {
        return Err(missing_body());
    }
    let value = strict::parse(&bytes)?;
    if value.is_object() {
        return Ok(value);
    }
    // serde would accept an array for a struct.
    let (field, message) = (String::new(), "expected an object".to_owned());
    Err(ApiError::invalid(vec![FieldError { field, code: "invalid_type", message }]))
}

/// Reads the whole body, within the route's size and time limits.
async fn bytes(parts: &Parts, body: Body) -> Result<Vec<u8>, ApiError> {
    let limits = parts.extensions.get::<Limits>().copied().unwrap_or_default();
    let limit = parts.extensions.get::<BodyLimit>().copied().unwrap_or(limits.body);
    tokio::time::timeout(limits.body_timeout, read(body, limit.0)).await.map_err(|_| {
        ApiError::new(Kind::Timeout, "request_timeout", "the body was not received in time")
    })?
}

fn missing_body() -> ApiError {
    ApiError::new(Kind::Malformed, "missing_body", "a JSON body is required")
}

/// Refuses a body of another media type, or of another character set than UTF-8.
fn of_media_type(headers: &HeaderMap, wanted: &str) -> Result<(), ApiError> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let (media_type, parameters) = value.split_once(';').unwrap_or((value, ""));
    let charset = parameters.trim().to_ascii_lowercase();
    if media_type.trim().eq_ignore_ascii_case(wanted)
        && (!charset.starts_with("charset") || charset.contains("utf-8"))
    {
        return Ok(());
    }
    let detail = format!("the body must be {wanted}");
    Err(ApiError::new(Kind::UnsupportedMediaType, "unsupported_media_type", detail))
}

/// Reads the whole body, or answers 413 when it is larger than `limit`.
async fn read(mut body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut seen = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            ApiError::new(Kind::Malformed, "malformed_body", "the body is incomplete or malformed")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        seen += data.len();
        if seen <= limit {
            bytes.extend_from_slice(&data);
        } else if seen > limit + DISCARD {
            break;
        }
    }
    if seen > limit {
        let detail = format!("the body must be at most {limit} bytes");
        return Err(ApiError::new(Kind::TooLarge, "body_too_large", detail));
    }
    Ok(bytes)
}

/// Returns the key as sent; [`idempotency::Key::new`] validates it.
fn key_value(headers: &HeaderMap) -> Result<&str, idempotency::Error> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let key = values.next().ok_or(idempotency::Error::Missing)?;
    match (key.to_str(), values.next()) {
        (Ok(key), None) => Ok(key),
        _ => Err(idempotency::Error::Malformed),
    }
}

/// Returns the route's pattern. The actual path is part of the fingerprint.
fn route(parts: &Parts) -> String {
    let path =
        parts.extensions.get::<MatchedPath>().map_or_else(|| parts.uri.path(), |p| p.as_str());
    format!("{} {path}", parts.method)
}

/// Returns the fingerprint's input: the path, and the JSON independent of spaces and order.
fn canonical(parts: &Parts, body: &Value) -> String {
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |uri| &uri.0);
    format!("{}\n{body}", uri.path())
}
