//! The one table from what happened to how it looks on the wire.
//!
//! A service states *what went wrong* in its own error enum and gives each case a [`Kind`] and a
//! stable code. This module alone knows how that looks over HTTP (RFC 9457 problem details) and over
//! gRPC (`google.rpc.ErrorInfo` and `BadRequest`). The text of an internal error is logged here,
//! once, and never sent.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::{Code, Status};

/// What kind of failure it was. Decides the HTTP status, the gRPC code and whether to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The message could not be read at all: syntax, encoding, a malformed id or header.
    Malformed,
    /// The message was read, and its fields break a rule that needs no state to check.
    Invalid,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    NotAcceptable,
    Timeout,
    /// The state of the resource, or a concurrent request, stands against it.
    Conflict,
    TooLarge,
    UnsupportedMediaType,
    /// A business rule refuses it.
    Refused,
    /// `If-Match` names another version.
    Precondition,
    PreconditionRequired,
    RateLimited,
    /// A dependency is away. The same request may succeed later.
    Unavailable,
    Internal,
}

/// An error that knows what kind of failure it is.
pub trait Classify: Error + Send + Sync + 'static {
    /// An exhaustive match, with no `_`: a new failure must be placed.
    fn kind(&self) -> Kind;

    /// A stable `snake_case` word for programs, listed in `docs/errors.md`.
    fn code(&self) -> Cow<'static, str>;

    /// Which fields were wrong, for [`Kind::Invalid`].
    fn fields(&self) -> Vec<FieldError> {
        Vec::new()
    }

    /// When to come back, for [`Kind::Unavailable`] and [`Kind::RateLimited`].
    fn retry_after(&self) -> Option<Duration> {
        None
    }
}

/// One field that broke a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// A path into the body, such as `items[0].amount`.
    pub field: String,
    /// A stable `snake_case` word for programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

/// An error on its way to a client.
#[derive(Debug)]
pub struct ApiError {
    pub(crate) kind: Kind,
    pub(crate) code: Cow<'static, str>,
    pub(crate) detail: String,
    pub(crate) fields: Vec<FieldError>,
    pub(crate) retry_after: Option<Duration>,
}

impl<E: Classify> From<E> for ApiError {
    fn from(error: E) -> Self {
        todo!("{error}")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        StatusCode::OK.into_response()
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        Self::new(Code::Internal, error.detail)
    }
}
