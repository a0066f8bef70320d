//! Decodes JSON and query parameters into typed values. An invalid field is named, and its content is never
//! repeated: it might be a password.

use std::fmt::{self, Display};

use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value;

use crate::error::{ApiError, FieldError};

/// Decodes a JSON value, or answers 422 with the invalid field.
pub(super) fn json<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    decode(Input::Json(value)).map_err(|field| ApiError::invalid(vec![field]))
}

/// Decodes query parameters, or answers 422 with the invalid one.
pub(super) fn query<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let pairs = form_urlencoded::parse(query.as_bytes())
        .map(|(name, value)| (name.into_owned(), Input::Text(value.into_owned())));
    decode(MapDeserializer::new(pairs)).map_err(|field| {
        // A query is text, so a wrong type is a wrong value.
        let code = if field.code == "invalid_type" { "invalid_value" } else { field.code };
        ApiError::invalid(vec![FieldError { code, ..field }])
    })
}

fn decode<'de, T, D>(input: D) -> Result<T, FieldError>
where
    T: DeserializeOwned,
    D: Deserializer<'de, Error = Fault>,
{
    serde_path_to_error::deserialize(input).map_err(|error| {
        let path = error.path().to_string();
        let Fault { name, code, message } = error.into_inner();
        let field = match (path.as_str(), name) {
            (".", name) => name.unwrap_or_default(),
            (path, Some(name)) if !path.ends_with(&name) => format!("{path}.{name}"),
            _ => path,
        };
        FieldError { field, code, message }
    })
}

/// The rule that the input breaks, reported by serde through [`Error`] rather than in its English.
#[derive(Debug)]
struct Fault {
    /// The field's name, where the path is that of its object.
    name: Option<String>,
    code: &'static str,
    message: String,
}

impl Fault {
    fn named(name: &str, code: &'static str, message: &str) -> Self {
        Self { name: Some(name.to_owned()), code, message: message.to_owned() }
    }

    fn expected(code: &'static str, expected: &dyn Expected) -> Self {
        let expected = expected.to_string();
        // Rust's type names mean nothing to a client.
        let expected = match expected.as_str() {
            "i8" | "i16" | "i32" | "i64" => "a whole number",
            "u8" | "u16" | "u32" | "u64" => "a whole number, not negative",
            "f32" | "f64" => "a number",
            _ if expected.starts_with("struct ") => "an object",
            other => other,
        };
        Self { name: None, code, message: format!("expected {expected}") }
    }
}

impl Error for Fault {
    fn custom<T: Display>(_: T) -> Self {
        Self { name: None, code: "invalid_value", message: "has the wrong format".to_owned() }
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected("invalid_type", expected)
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::expected("invalid_value", expected)
    }

    fn invalid_length(_: usize, expected: &dyn Expected) -> Self {
        Self::expected("invalid_value", expected)
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        let message = format!("expected one of {}", expected.join(", "));
        Self { name: None, code: "invalid_value", message }
    }

    fn unknown_field(name: &str, _: &'static [&'static str]) -> Self {
        Self::named(name, "unknown_field", "there is no such field")
    }

    fn missing_field(name: &'static str) -> Self {
        Self::named(name, "missing_field", "is required")
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::named(name, "duplicate_field", "occurs twice")
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// A value to decode, with [`Fault`] as its error.
enum Input {
    Json(Value),
    /// A query parameter. It may be a number or a boolean, if the field is one.
    Text(String),
}

impl IntoDeserializer<'_, Fault> for Input {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Input {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Text(text) => match (text.parse(), text.parse()) {
                (Ok(number), _) => visitor.visit_i64(number),
                (_, Ok(boolean)) => visitor.visit_bool(boolean),
                _ => visitor.visit_string(text),
            },
            Self::Json(Value::Null) => visitor.visit_unit(),
            Self::Json(Value::Bool(boolean)) => visitor.visit_bool(boolean),
            Self::Json(Value::Number(number)) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => visitor.visit_i64(number),
                (_, Some(number)) => visitor.visit_u64(number),
                _ => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Self::Json(Value::String(text)) => visitor.visit_string(text),
            Self::Json(Value::Array(items)) => {
                SeqDeserializer::new(items.into_iter().map(Self::Json)).deserialize_any(visitor)
            }
            Self::Json(Value::Object(fields)) => {
                let fields = fields.into_iter().map(|(name, value)| (name, Self::Json(value)));
                MapDeserializer::new(fields).deserialize_any(visitor)
            }
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Text(text) => visitor.visit_string(text),
            Self::Json(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self {
            Self::Json(Value::Null) => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match self {
            Self::Text(text) | Self::Json(Value::String(text)) => {
                visitor.visit_enum(IntoDeserializer::<Fault>::into_deserializer(text))
            }
            Self::Json(Value::Object(fields)) => {
                let fields = fields.into_iter().map(|(name, value)| (name, Self::Json(value)));
                visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(fields)))
            }
            Self::Json(_) => Err(Fault::invalid_type(Unexpected::Other("a value"), &visitor)),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct
        seq tuple tuple_struct map struct identifier ignored_any
    }
}
