//! The one table from what happened to how it looks on the wire.
//!
//! A service states *what went wrong* in its own error enum and gives each case a [`Kind`] and a
//! stable code. This module alone knows how that looks over HTTP (RFC 9457 problem details) and over
//! gRPC (`google.rpc.ErrorInfo` and `BadRequest`). The text of an internal error is logged here,
//! once, with its source chain, and never sent.
//!
//! A handler that turns a body into a command names every wrong field at once with [`Fields`]:
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

/// When nobody said when to come back.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An error that knows what kind of failure it is.
pub trait Classify: Error + Send + Sync + 'static {
    /// Everything a client learns of this failure, one row per variant:
    /// `Self::SlotTaken => Kind::Conflict.code("slot_taken")`. A match with no `_`, so that a new failure must
    /// be placed.
    fn class(&self) -> Class {
        Class {
            kind: self.kind(),
            code: self.code(),
            field: None,
            fields: self.fields(),
            retry_after: self.retry_after(),
            outcome: self.outcome(),
            conflict: self.conflict(),
        }
    }

    fn kind(&self) -> Kind {
        self.class().kind
    }

    /// A stable `snake_case` word for programs, listed in `docs/errors.md`.
    fn code(&self) -> Cow<'static, str> {
        self.class().code
    }

    /// The fields that break a rule. Read by [`Classify::class`] alone, until every error has a row per variant.
    fn fields(&self) -> Vec<FieldError> {
        Vec::new()
    }

    /// The wait after which the same request may succeed. As [`Classify::fields`].
    fn retry_after(&self) -> Option<Duration> {
        None
    }

    /// Whether something may have happened all the same. As [`Classify::fields`].
    fn outcome(&self) -> Outcome {
        self.kind().outcome()
    }

    /// The aggregate that somebody else has changed since the client read it. As [`Classify::fields`].
    fn conflict(&self) -> Option<&'static str> {
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

/// An error on its way to a client: everything in it is safe to show.
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
    /// An error of a kind. `detail` is sent as it is: no input, no internals.
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

    /// An error that names the fields that break a rule. One wrong field gives the whole its code, more are
    /// `invalid_fields`.
    pub fn invalid(fields: Vec<FieldError>) -> Self {
        let (code, detail) = match fields.as_slice() {
            [only] if only.field.is_empty() => (only.code, only.message.clone()),
            [only] => (only.code, format!("{}: {}", only.field, only.message)),
            _ => ("invalid_fields", "several fields are wrong".to_owned()),
        };
        Self { fields, ..Self::new(Kind::Invalid, code, detail) }
    }

    /// An internal error: `cause` is logged with its sources, and the client learns nothing of it.
    pub fn internal(cause: &(dyn Error + 'static)) -> Self {
        tracing::error!(error = %Chain(cause), code = "internal_error", "request failed");
        Self::new(Kind::Internal, "internal_error", "internal error")
    }

    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The stable word for programs.
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
                "temporarily unavailable; try again".to_owned()
            }
            _ => error.to_string(),
        };
        let plain = Self::new(kind, code, detail);
        Self { fields, outcome, retry_after: retry_after.or(plain.retry_after), ..plain }
    }
}

/// An error and its sources on one line, without repeating a source that its error already quotes.
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
