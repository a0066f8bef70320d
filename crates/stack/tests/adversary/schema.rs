//! Holds an answer to the schema that its service publishes.

use serde_json::Value;

use crate::api::Api;

impl Api {
    /// The first place where `value` is not as `schema` says.
    pub fn mismatch(&self, service: &str, schema: &Value, value: &Value) -> Option<String> {
        self.mismatch_at(service, schema, value, "")
            .or_else(|| self.unknown(service, schema, value))
    }

    /// A field that nobody was told of may tell what nobody should know.
    fn unknown(&self, service: &str, schema: &Value, value: &Value) -> Option<String> {
        let schema = self.resolve(service, schema);
        if let Some(items) = value.as_array() {
            return items.iter().find_map(|item| self.unknown(service, &schema["items"], item));
        }
        let known = self.properties(service, schema);
        for (name, value) in value.as_object().filter(|_| !known.is_empty())? {
            match known.iter().find(|(known, _)| known == name) {
                Some((_, schema)) => {
                    if let Some(found) = self.unknown(service, schema, value) {
                        return Some(found);
                    }
                }
                None => return Some(format!("`{name}` is not in the document")),
            }
        }
        None
    }

    fn mismatch_at(
        &self,
        service: &str,
        schema: &Value,
        value: &Value,
        at: &str,
    ) -> Option<String> {
        let wrong = |what: &str| Some(format!("{at}: {what}, and not {value}"));
        let schema = self.resolve(service, schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            if let Some(found) = self.mismatch_at(service, part, value, at) {
                return Some(found);
            }
        }
        for either in ["oneOf", "anyOf"] {
            if let Some(parts) = schema[either].as_array()
                && parts.iter().all(|p| self.mismatch_at(service, p, value, at).is_some())
            {
                return wrong("one of several");
            }
        }
        if let Some(values) = schema["enum"].as_array()
            && !values.contains(value)
        {
            return wrong("one of a list");
        }
        if !is_of_type(&schema["type"], value) {
            return wrong(&schema["type"].to_string());
        }
        let number = |name: &str| schema[name].as_i64();
        if let Some(found) = value.as_i64()
            && (number("minimum").is_some_and(|low| found < low)
                || number("maximum").is_some_and(|high| found > high))
        {
            return wrong("within its bounds");
        }
        if schema["format"] == "uuid" && value.as_str().is_some_and(|text| !is_uuid(text)) {
            return wrong("a UUID");
        }
        if let Some(items) = value.as_array() {
            let item =
                |(n, item)| self.mismatch_at(service, &schema["items"], item, &format!("{at}/{n}"));
            return items.iter().enumerate().find_map(item);
        }
        self.object(service, schema, value, at)
    }

    fn object(&self, service: &str, schema: &Value, value: &Value, at: &str) -> Option<String> {
        let object = value.as_object()?;
        let required = schema["required"].as_array().into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !object.contains_key(name) {
                return Some(format!("{at}: `{name}` is missing"));
            }
        }
        let known = self.properties(service, schema);
        for (name, value) in object {
            let at = format!("{at}/{name}");
            if let Some((_, schema)) = known.iter().find(|(known, _)| known == name)
                && let Some(found) = self.mismatch_at(service, schema, value, &at)
            {
                return Some(found);
            }
        }
        None
    }
}

fn is_of_type(kind: &Value, value: &Value) -> bool {
    let one = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        _ => true,
    };
    match kind {
        Value::String(kind) => one(kind),
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).any(one),
        _ => true,
    }
}

pub fn is_uuid(text: &str) -> bool {
    let dashes = [8, 13, 18, 23];
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(n, b)| if dashes.contains(&n) { b == b'-' } else { b.is_ascii_hexdigit() })
}
