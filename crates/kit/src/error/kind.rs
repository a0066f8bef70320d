//! The kinds of failure, and the table of how each looks over HTTP and gRPC.

use axum::http::StatusCode;
use tonic::Code;

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
    /// The client took too long to send its request.
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

/// Whether a failed command may have had its effect all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Nothing happened.
    None,
    /// It may have happened. Repeat it with the same `Idempotency-Key` to find out.
    Unknown,
}

impl Outcome {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }
}

impl Kind {
    /// HTTP status, gRPC code, whether the same request may succeed later, and a title.
    const fn wire(self) -> (StatusCode, Code, bool, &'static str) {
        match self {
            Self::Malformed => {
                (StatusCode::BAD_REQUEST, Code::InvalidArgument, false, "Malformed request")
            }
            Self::Invalid => {
                (StatusCode::UNPROCESSABLE_ENTITY, Code::InvalidArgument, false, "Invalid request")
            }
            Self::Unauthenticated => {
                (StatusCode::UNAUTHORIZED, Code::Unauthenticated, false, "Not authenticated")
            }
            Self::Forbidden => {
                (StatusCode::FORBIDDEN, Code::PermissionDenied, false, "Not allowed")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, Code::NotFound, false, "Not found"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, false, "Method not allowed")
            }
            Self::NotAcceptable => {
                (StatusCode::NOT_ACCEPTABLE, Code::InvalidArgument, false, "Not acceptable")
            }
            Self::Timeout => {
                (StatusCode::REQUEST_TIMEOUT, Code::DeadlineExceeded, true, "Request too slow")
            }
            Self::Conflict => (StatusCode::CONFLICT, Code::Aborted, false, "Conflict"),
            Self::TooLarge => {
                (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted, false, "Request too large")
            }
            Self::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                Code::InvalidArgument,
                false,
                "Unsupported media type",
            ),
            Self::Refused => {
                (StatusCode::UNPROCESSABLE_ENTITY, Code::FailedPrecondition, false, "Refused")
            }
            Self::Precondition => (
                StatusCode::PRECONDITION_FAILED,
                Code::FailedPrecondition,
                false,
                "Precondition failed",
            ),
            Self::PreconditionRequired => (
                StatusCode::PRECONDITION_REQUIRED,
                Code::FailedPrecondition,
                false,
                "Precondition required",
            ),
            Self::RateLimited => {
                (StatusCode::TOO_MANY_REQUESTS, Code::ResourceExhausted, true, "Too many requests")
            }
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                Code::Unavailable,
                true,
                "Temporarily unavailable",
            ),
            Self::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, false, "Internal error")
            }
        }
    }

    /// Its HTTP status.
    pub const fn http(self) -> StatusCode {
        self.wire().0
    }

    /// Its gRPC code.
    pub const fn grpc(self) -> Code {
        self.wire().1
    }

    /// Whether the same request may succeed later without anybody changing anything.
    pub const fn retryable(self) -> bool {
        self.wire().2
    }

    /// A few words for people, the same for every error of the kind.
    pub const fn title(self) -> &'static str {
        self.wire().3
    }

    /// Whether the effect may have happened: after a failure inside, or of a dependency, nobody can promise that
    /// it did not.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Unavailable | Self::Internal => Outcome::Unknown,
            _ => Outcome::None,
        }
    }

    /// These say when to come back.
    pub(crate) const fn may_pass(self) -> bool {
        matches!(self, Self::Unavailable | Self::RateLimited)
    }
}
