//! Collects the invalid fields of a body, so that a client sees all of them at once.

use std::fmt::Display;

use super::{ApiError, FieldError};

/// The invalid fields so far. See the example in [`crate::error`].
#[derive(Debug, Default)]
pub struct Fields(Vec<FieldError>);

impl Fields {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the value; if it is invalid, adds the field and returns `None`.
    pub fn check<T, E: Display>(
        &mut self,
        field: impl Into<String>,
        code: &'static str,
        value: Result<T, E>,
    ) -> Option<T> {
        value.map_err(|error| self.add(field, code, error)).ok()
    }

    /// Like [`Fields::check`], for an optional field: `Some(None)` if absent, `None` if invalid.
    pub fn check_optional<T, E: Display>(
        &mut self,
        field: impl Into<String>,
        code: &'static str,
        value: Option<Result<T, E>>,
    ) -> Option<Option<T>> {
        value.map_or(Some(None), |value| self.check(field, code, value).map(Some))
    }

    /// Adds an invalid field, such as one that contradicts another.
    pub fn add(&mut self, field: impl Into<String>, code: &'static str, message: impl Display) {
        self.0.push(FieldError { field: field.into(), code, message: message.to_string() });
    }

    /// Returns the command, or one error with all invalid fields.
    pub fn done<T>(self, command: impl FnOnce() -> Option<T>) -> Result<T, ApiError> {
        match (self.0.is_empty(), command()) {
            (true, Some(command)) => Ok(command),
            _ => Err(ApiError::invalid(self.0)),
        }
    }
}
