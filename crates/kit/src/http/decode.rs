//! From a value to a typed body: which field was wrong, without repeating what was in it.

use serde::Deserializer;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, FieldError};

/// A `T`, or 422 that names the field.
pub(super) fn decode<'de, T, D>(deserializer: D) -> Result<T, ApiError>
where
    T: DeserializeOwned,
    D: Deserializer<'de>,
{
    serde_path_to_error::deserialize(deserializer).map_err(|error| {
        let path = error.path().to_string();
        ApiError::invalid(vec![wrong(&path, &error.into_inner().to_string())])
    })
}

/// serde has no error codes, only stable phrases. What it says about the *input* (`invalid type:
/// string "…"`) stays here: it might be a password.
fn wrong(path: &str, message: &str) -> FieldError {
    let named = |name: &str| match path {
        "." => name.to_owned(),
        _ if path.ends_with(name) => path.to_owned(),
        _ => format!("{path}.{name}"),
    };
    let expected = || match message.rsplit_once(", expected ") {
        Some((_, what)) => format!("expected {}", plain(what)),
        None => "has the wrong format".to_owned(),
    };
    let here = if path == "." { String::new() } else { path.to_owned() };

    let (field, code, message) = if let Some(name) = quoted(message, "unknown field `") {
        (named(name), "unknown_field", "there is no such field".to_owned())
    } else if let Some(name) = quoted(message, "missing field `") {
        (named(name), "missing_field", "is required".to_owned())
    } else if let Some(name) = quoted(message, "duplicate field `") {
        (named(name), "duplicate_field", "occurs twice".to_owned())
    } else if message.starts_with("invalid type") {
        (here, "invalid_type", expected())
    } else {
        (here, "invalid_value", expected())
    };
    FieldError { field, code, message }
}

fn quoted<'a>(message: &'a str, prefix: &str) -> Option<&'a str> {
    message.strip_prefix(prefix)?.split('`').next()
}

/// Rust's type names mean nothing to a client.
fn plain(what: &str) -> &str {
    match what {
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "u8" | "u16" | "u32" | "u64" => "a whole number, not negative",
        "f32" | "f64" => "a number",
        "a borrowed string" | "a string" => "a string",
        _ if what.starts_with("struct ") => "an object",
        _ => what,
    }
}
