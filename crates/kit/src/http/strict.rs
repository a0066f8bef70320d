//! Parses JSON more strictly than `serde_json`: no duplicate keys (parsers disagree about which one counts),
//! no U+0000 (PostgreSQL text cannot hold it), no deep nesting.

use std::cell::RefCell;
use std::fmt::{self, Write};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::error::{ApiError, FieldError, Kind};

const MAX_DEPTH: usize = 32;

/// Parses a JSON text, and sorts every object's keys.
pub(super) fn parse(text: &[u8]) -> Result<Value, ApiError> {
    let text = str::from_utf8(text).map_err(|_| invalid_encoding())?;
    let state = RefCell::new(State::default());
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Node(&state).deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    read.map_err(|error| state.into_inner().fault.unwrap_or_else(|| syntax(&error)))
}

fn syntax(error: &serde_json::Error) -> ApiError {
    // A lone `\ud800` is not a character in any encoding.
    if error.to_string().contains("hex escape") {
        return invalid_encoding();
    }
    ApiError::new(
        Kind::Malformed,
        "malformed_json",
        format!("not valid JSON at line {}, column {}", error.line(), error.column()),
    )
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

/// The current position and the fault found there. A `serde_json` error can carry only text.
#[derive(Default)]
struct State {
    path: Vec<Step>,
    fault: Option<ApiError>,
}

enum Step {
    Key(String),
    Index(usize),
}

impl State {
    fn field(&self) -> String {
        let mut field = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if field.is_empty() => field.push_str(key),
                Step::Key(key) => {
                    let _ = write!(field, ".{key}");
                }
                Step::Index(index) => {
                    let _ = write!(field, "[{index}]");
                }
            }
        }
        field
    }
}

/// Reads one value.
struct Node<'a>(&'a RefCell<State>);

impl Node<'_> {
    fn fail<E: de::Error>(&self, fault: impl FnOnce(&State) -> ApiError) -> E {
        let fault = fault(&self.0.borrow());
        self.0.borrow_mut().fault = Some(fault);
        E::custom("refused")
    }

    fn enter<E: de::Error>(&self, step: Step) -> Result<Node<'_>, E> {
        self.0.borrow_mut().path.push(step);
        if self.0.borrow().path.len() > MAX_DEPTH {
            let detail = format!("nested more than {MAX_DEPTH} deep");
            return Err(self.fail(|_| ApiError::new(Kind::Malformed, "malformed_json", detail)));
        }
        Ok(Node(self.0))
    }

    fn leave(&self) {
        self.0.borrow_mut().path.pop();
    }

    fn text<E: de::Error>(&self, text: String) -> Result<String, E> {
        if text.contains('\0') {
            return Err(self.fail(|state| invalid_character(state.field())));
        }
        Ok(text)
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.visit_string(value.to_owned())
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        self.text(value).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(self.enter(Step::Index(values.len()))?)? {
            self.leave();
            values.push(value);
        }
        self.leave();
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let key = self.text(key)?;
            let node = self.enter(Step::Key(key.clone()))?;
            if object.contains_key(&key) {
                return Err(self.fail(|state| {
                    let detail = format!("the key `{}` occurs twice", state.field());
                    ApiError::new(Kind::Malformed, "duplicate_key", detail)
                }));
            }
            let value = entries.next_value_seed(node)?;
            self.leave();
            object.insert(key, value);
        }
        object.sort_keys();
        Ok(Value::Object(object))
    }
}
