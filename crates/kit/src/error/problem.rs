//! Errors over HTTP: RFC 9457 problem details.

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::{ApiError, FieldError, Kind, Outcome};

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// The body of every error, as RFC 9457 problem details.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Problem {
    /// Identifies the kind of problem; the part after `#` is `code`.
    #[serde(rename = "type")]
    #[schema(example = "/errors#insufficient_points")]
    pub uri: String,
    /// A short text for people, the same for every problem of this status.
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// A text for people about this occurrence.
    pub detail: String,
    /// A stable code for programs.
    #[schema(example = "insufficient_points")]
    pub code: String,
    /// The id of the request in the logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// True when the same request may succeed later.
    pub retryable: bool,
    /// The effect of the request: none, or unknown.
    pub outcome: Outcome,
    /// The invalid fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

impl ApiError {
    fn problem(self, request_id: Option<String>) -> Problem {
        Problem {
            uri: format!("/errors#{}", self.code),
            title: self.kind.title(),
            status: self.kind.http().as_u16(),
            retryable: self.retryable(),
            outcome: self.outcome,
            detail: self.detail,
            code: self.code.into_owned(),
            errors: self.fields,
            request_id,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        respond(self, observability::context::request_id())
    }
}

fn respond(error: ApiError, request_id: Option<String>) -> Response {
    let status = error.kind.http();
    let retry_after = error.retry_after;
    let body = serde_json::to_vec(&error.problem(request_id)).unwrap_or_default();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(wait) = retry_after {
        // Rounded up to whole seconds, at least one.
        headers
            .insert(RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1000).max(1) as u64));
    }
    response
}

/// Creates the answer to a request whose handler panicked. The panic itself is already logged.
pub fn panic_response(request_id: &str) -> Response {
    let error = ApiError::new(Kind::Internal, "internal_error", "internal error");
    respond(error, Some(request_id.to_owned()))
}
