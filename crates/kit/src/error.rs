//! Errors, and their representation in HTTP and gRPC.
//!
//! A service defines its failures in its own error enum and gives each one a [`Kind`] and a stable code. This
//! module translates them to HTTP (RFC 9457 problem details) and to gRPC (`google.rpc.ErrorInfo` and
//! `BadRequest`). The text of an internal error is logged here, once, with its source chain, and never sent.
//!
//! A handler that turns a body into a command reports all wrong fields at once with [`Fields`]:
//!
//! ```ignore
//! impl TryFrom<EarnBody> for Earn {
//!     type Error = ApiError;
//!
//!     fn try_from(body: EarnBody) -> Result<Self, ApiError> {
//!         let mut fields = Fields::new();
//!         let amount = fields.check("amount", "invalid_amount", Amount::new(body.amount));
//!         let reason = fields.check("reason", "invalid_reason", Reason::new(body.reason));
//!         fields.done(|| Some(Self { amount: amount?, reason: reason? }))
//!     }
//! }
//! ```

mod class;
mod fields;
mod grpc;
mod kind;
mod problem;

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use observability::metrics::concurrency_conflict;
use serde::Serialize;

pub use self::class::Class;
pub use self::fields::Fields;
pub use self::grpc::reason;
pub use self::kind::{Kind, Outcome};
pub use self::problem::{PROBLEM_JSON, Problem, panic_response};

/// The default wait before a retry.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error with a class.
pub trait Classify: Error + Send + Sync + 'static {
    /// Returns the class of the failure, with one row per variant: `Self::SlotTaken =>
    /// Kind::Conflict.code("slot_taken")`. The match has no `_`, so that a new variant must be classified.
    fn class(&self) -> Class;

    /// Returns the kind of the failure.
    fn kind(&self) -> Kind {
        self.class().kind
    }

    /// Returns the stable `snake_case` code for programs, listed in `docs/errors.md`.
    fn code(&self) -> Cow<'static, str> {
        self.class().code
    }

    /// Returns the invalid fields.
    fn fields(&self) -> Vec<FieldError>
    where
        Self: Sized,
    {
        self.class().fields_of(self)
    }

    /// Returns the wait after which the same request may succeed.
    fn retry_after(&self) -> Option<Duration> {
        self.class().retry_after
    }

    /// Returns `Unknown` if the request may have had an effect.
    fn outcome(&self) -> Outcome {
        self.class().outcome
    }
}

/// An invalid field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// A path into the body, such as `items[0].amount`.
    pub field: String,
    /// A stable `snake_case` code for programs.
    pub code: &'static str,
    /// A text for people.
    pub message: String,
}

/// An error for a client. Everything in it may be shown.
#[derive(Clone, Debug)]
pub struct ApiError {
    pub(crate) kind: Kind,
    pub(crate) code: Cow<'static, str>,
    pub(crate) detail: String,
    pub(crate) fields: Vec<FieldError>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) outcome: Outcome,
}

impl ApiError {
    /// Creates an error. `detail` is sent unchanged, so it must contain no input and no internals.
    pub fn new(kind: Kind, code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            detail: detail.into(),
            fields: Vec::new(),
            retry_after: kind.may_pass().then_some(RETRY_AFTER),
            outcome: kind.outcome(),
        }
    }

    /// Creates an error with invalid fields. Its code is that of a single field, or `invalid_fields` for
    /// several.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let (code, detail) = match fields.as_slice() {
            [only] if only.field.is_empty() => (only.code, only.message.clone()),
            [only] => (only.code, format!("{}: {}", only.field, only.message)),
            _ => ("invalid_fields", "several fields are invalid".to_owned()),
        };
        Self { fields, ..Self::new(Kind::Invalid, code, detail) }
    }

    /// Creates an internal error: `cause` is logged with its sources and not sent.
    pub fn internal(cause: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %Chain(cause), code = "internal_error", "request failed");
        Self::new(Kind::Internal, "internal_error", "internal error")
    }

    /// Returns the kind of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the stable code for programs.
    pub fn code(&self) -> &str {
        &self.code
    }

    fn retryable(&self) -> bool {
        self.kind.retryable() || self.retry_after.is_some()
    }
}

impl<E: Classify> From<E> for ApiError {
    fn from(error: E) -> Self {
        let class = error.class();
        let fields = class.fields_of(&error);
        let Class { kind, code, retry_after, outcome, conflict, .. } = class;
        if let Some(aggregate) = conflict {
            concurrency_conflict(aggregate);
        }
        let detail = match kind {
            Kind::Internal => return Self::internal(&error),
            Kind::Unavailable => {
                tracing::warn!(error = %Chain(&error), %code, "a dependency failed the request");
                "temporarily unavailable; retry later".to_owned()
            }
            _ => error.to_string(),
        };
        let plain = Self::new(kind, code, detail);
        Self { fields, outcome, retry_after: retry_after.or(plain.retry_after), ..plain }
    }
}

/// An error and its sources in one line, without sources that the error already quotes.
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut last = self.0.to_string();
        f.write_str(&last)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            if !last.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            last = text;
            source = error.source();
        }
        Ok(())
    }
}
