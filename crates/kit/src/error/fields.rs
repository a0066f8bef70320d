//! Collects what is wrong with a body, so that a client learns of all of it at once.

use std::fmt::Display;

use super::{ApiError, FieldError};

/// The wrong fields so far. See the example in [`crate::error`].
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

impl Fields {
    /// A list of wrong fields, empty so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value, or `None` and an entry that says `code` and why.
    pub fn check<T, E: Display>(
        &mut self,
        field: impl Into<String>,
        code: &'static str,
        value: Result<T, E>,
    ) -> Option<T> {
        value.map_err(|error| self.add(field, code, error)).ok()
    }

    /// [`Fields::check`] for a field that may be absent: absent is `Some(None)`, wrong is `None`.
    pub fn check_optional<T, E: Display>(
        &mut self,
        field: impl Into<String>,
        code: &'static str,
        value: Option<Result<T, E>>,
    ) -> Option<Option<T>> {
        value.map_or(Some(None), |value| self.check(field, code, value).map(Some))
    }

    /// Notes a wrong field, such as one that contradicts another.
    pub fn add(&mut self, field: impl Into<String>, code: &'static str, message: impl Display) {
        self.0.push(FieldError { field: field.into(), code, message: message.to_string() });
    }

    /// The command when every field was right, and one error that names all the wrong ones else.
    pub fn done<T>(self, command: impl FnOnce() -> Option<T>) -> Result<T, ApiError> {
        match (self.0.is_empty(), command()) {
            (true, Some(command)) => Ok(command),
            _ => Err(ApiError::invalid(self.0)),
        }
    }
}
