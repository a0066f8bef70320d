use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use super::{FieldError, Kind, Outcome};

/// The class of a failure: built by [`Kind::code`], read by the edges.
#[derive(Clone, Debug)]
pub struct Class {
    pub(crate) kind: Kind,
    pub(crate) code: Cow<'static, str>,
    /// A single field, described by the error's own text.
    pub(crate) field: Option<&'static str>,
    pub(crate) fields: Vec<FieldError>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) outcome: Outcome,
    pub(crate) conflict: Option<&'static str>,
}

impl Kind {
    /// Creates the class of a failure of this kind. `code` is a stable `snake_case` code for programs, listed
    /// in `docs/errors.md`.
    pub fn code(self, code: impl Into<Cow<'static, str>>) -> Class {
        Class {
            kind: self,
            code: code.into(),
            field: None,
            fields: Vec::new(),
            retry_after: None,
            outcome: self.outcome(),
            conflict: None,
        }
    }
}

impl Class {
    /// Adds the invalid field, with the failure's code and text.
    #[must_use]
    pub fn field(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// Adds several fields, each with its own code and text.
    #[must_use]
    pub fn fields(self, fields: Vec<FieldError>) -> Self {
        Self { fields, ..self }
    }

    /// Sets the wait after which the same request may succeed. [`Kind::Unavailable`] and
    /// [`Kind::RateLimited`] have 1 s by default.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Sets the outcome, if it differs from the kind's default.
    #[must_use]
    pub fn outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// Sets the aggregate that was changed since the client read it. Declare it at start with
    /// [`observability::metrics::declare_conflict`].
    #[must_use]
    pub fn conflict(self, aggregate: &'static str) -> Self {
        Self { conflict: Some(aggregate), ..self }
    }

    pub(crate) fn fields_of(&self, error: &impl Error) -> Vec<FieldError> {
        match (self.field, &self.code) {
            (Some(field), Cow::Borrowed(code)) => {
                vec![FieldError { field: field.to_owned(), code, message: error.to_string() }]
            }
            _ => self.fields.clone(),
        }
    }
}
