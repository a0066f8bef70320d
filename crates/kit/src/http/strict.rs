//! Parses JSON more strictly than `serde_json`: no duplicate keys (parsers disagree about which one counts),
//! no U+0000 (PostgreSQL text cannot hold it), no deep nesting.

use serde_json::Value;

use crate::error::{ApiError, FieldError, Kind};

const MAX_DEPTH: usize = 32;

/// Parses a JSON text, and sorts every object's keys.
pub(super) fn parse(text: &[u8]) -> Result<Value, ApiError> {
    let text = str::from_utf8(text).map_err(|_| invalid_encoding())?;
    let mut value: Value = serde_json::from_str(text).map_err(|error| {
        if has_lone_surrogate(text) {
            return invalid_encoding();
        }
        malformed(format!("not valid JSON at line {}, column {}", error.line(), error.column()))
    })?;
    // serde_json keeps the last of two equal keys.
    if check(&value, String::new(), 0)? < keys(text) {
        return Err(ApiError::new(Kind::Malformed, "duplicate_key", "an object has a key twice"));
    }
    value.sort_all_objects();
    Ok(value)
}

/// Checks a value and everything in it, and returns the number of keys.
fn check(value: &Value, path: String, depth: usize) -> Result<usize, ApiError> {
    let child = |path: String, value: &Value| check(value, path, depth + 1);
    match value {
        Value::Array(_) | Value::Object(_) if depth >= MAX_DEPTH => {
            Err(malformed(format!("nested more than {MAX_DEPTH} deep")))
        }
        Value::String(text) if text.contains('\0') => Err(invalid_character(path)),
        Value::Object(fields) if fields.keys().any(|key| key.contains('\0')) => {
            Err(invalid_character(path))
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(n, item)| child(format!("{path}[{n}]"), item)).sum()
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let dot = if path.is_empty() { "" } else { "." };
                child(format!("{path}{dot}{key}"), value).map(|keys| keys + 1)
            })
            .sum(),
        _ => Ok(0),
    }
}

/// Counts the keys in a valid JSON text: its colons outside of strings.
fn keys(text: &str) -> usize {
    let (mut keys, mut in_string, mut escaped) = (0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => keys += 1,
            _ => {}
        }
    }
    keys
}

/// Returns true when the text has an escape such as a single `\ud800`, which is not a character.
fn has_lone_surrogate(text: &str) -> bool {
    let mut end = 0;
    let units = text.match_indices("\\u").flat_map(|(at, _)| {
        let unit = text.get(at + 2..at + 6).and_then(|hex| u16::from_str_radix(hex, 16).ok());
        // Two surrogates with something between them are not a pair.
        let gap = (at != end).then_some(0);
        end = at + 6;
        gap.into_iter().chain(unit)
    });
    char::decode_utf16(units).any(|character| character.is_err())
}

fn malformed(detail: String) -> ApiError {
    ApiError::new(Kind::Malformed, "malformed_json", detail)
}

/// Returns 400 for text that is not UTF-8.
pub(super) fn invalid_encoding() -> ApiError {
    ApiError::new(Kind::Malformed, "invalid_encoding", "not valid UTF-8")
}

/// Returns 422 for text with a U+0000 in it.
pub(super) fn invalid_character(field: String) -> ApiError {
    let message = "contains the character U+0000".to_owned();
    ApiError::invalid(vec![FieldError { field, code: "invalid_character", message }])
}
