use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use super::{FieldError, Kind, Outcome};

/// One failure as its client sees it: built by [`Kind::code`], read by the edges.
#[derive(Clone, Debug)]
pub struct Class {
    pub(crate) kind: Kind,
    pub(crate) code: Cow<'static, str>,
    /// One field, explained by the error's own text.
    pub(crate) field: Option<&'static str>,
    pub(crate) fields: Vec<FieldError>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) outcome: Outcome,
    pub(crate) conflict: Option<&'static str>,
}

impl Kind {
    /// A failure of this kind. `code` is a stable `snake_case` word for programs, listed in `docs/errors.md`.
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
    /// Names the field that breaks the rule. It carries the failure's code and text.
    #[must_use]
    pub fn field(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// Names several fields, each with its own code and text.
    #[must_use]
    pub fn fields(self, fields: Vec<FieldError>) -> Self {
        Self { fields, ..self }
    }

    /// Says when to come back, and thereby that the same request may succeed then. [`Kind::Unavailable`] and
    /// [`Kind::RateLimited`] say 1 s by themselves.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }

    /// Says whether something may have happened all the same, where that is not as usual for the kind.
    #[must_use]
    pub fn outcome(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// Names the aggregate that somebody else has changed since the client read it. Each is declared at start with
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
