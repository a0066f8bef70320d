//! The kinds of failure, and their HTTP and gRPC codes.

use axum::http::StatusCode;
use tonic::Code;

/// The kind of a failure. It determines the HTTP status, the gRPC code and whether a retry may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The message could not be read: syntax, encoding, a malformed id or header.
    Malformed,
    /// Fields of the message break a rule that needs no stored state.
    Invalid,
    Unauthenticated,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    /// The client sent its request too slowly.
    Timeout,
    /// The resource's state, or a concurrent request, conflicts with the request.
    Conflict,
    TooLarge,
    UnsupportedMediaType,
    /// A business rule refuses the request.
    Refused,
    /// `If-Match` has another version.
    Precondition,
    PreconditionRequired,
    RateLimited,
    /// A dependency is unavailable. The same request may succeed later.
    Unavailable,
    Internal,
}

/// The effect of a failed command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The command had no effect.
    None,
    /// The command may have had its effect. A retry with the same `Idempotency-Key` finds out.
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
    /// Returns the HTTP status, the gRPC code, true if a retry may succeed, and a title.
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

    /// Returns the HTTP status.
    pub const fn http(self) -> StatusCode {
        self.wire().0
    }

    /// Returns the gRPC code.
    pub const fn grpc(self) -> Code {
        self.wire().1
    }

    /// Returns true when the same request may succeed later, without any other change.
    pub const fn retryable(self) -> bool {
        self.wire().2
    }

    /// Returns a short text for people, the same for every error of the kind.
    pub const fn title(self) -> &'static str {
        self.wire().3
    }

    /// Returns the default outcome. After a failure of ours or of a dependency it is unknown.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Unavailable | Self::Internal => Outcome::Unknown,
            _ => Outcome::None,
        }
    }

    /// Returns true for kinds with a default wait before a retry.
    pub(crate) const fn may_pass(self) -> bool {
        matches!(self, Self::Unavailable | Self::RateLimited)
    }
}
