//! A body for every command, made from its OpenAPI document.

use serde_json::{Map, Value, json};

/// An example body for this call; `None` when it takes none.
pub fn example(
    document: &Value,
    path: &str,
    method: &str,
    known: &Map<String, Value>,
) -> Option<Value> {
    let operation = &document["paths"][path][method.to_lowercase()];
    let schema = operation.pointer("/requestBody/content/application~1json/schema")?;
    Some(made(document, schema, "", known))
}

/// The smallest value of this schema. A field in `known` gets the value there.
fn made(document: &Value, schema: &Value, name: &str, known: &Map<String, Value>) -> Value {
    if let Some(value) = known.get(name) {
        return value.clone();
    }
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.trim_start_matches('#');
        return made(document, document.pointer(pointer).unwrap(), name, known);
    }
    for one in ["oneOf", "allOf"] {
        if let Some(schema) = schema[one].as_array().and_then(|all| all.first()) {
            return made(document, schema, name, known);
        }
    }
    if let Some(first) = schema["enum"].as_array().and_then(|all| all.first()) {
        return first.clone();
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str()).unwrap_or("object");
    match kind {
        "string" if schema["format"] == "uuid" => json!("00000000-0000-0000-0000-000000000001"),
        "string" if schema["format"] == "date" => json!("2030-01-02"),
        "string" if schema["format"] == "date-time" => json!("2030-01-02T00:00:00Z"),
        "string" => json!("a word that is long enough"),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(1)),
        "boolean" => json!(false),
        "array" => json!([made(document, &schema["items"], "", known)]),
        _ => object(document, schema, known),
    }
}

fn object(document: &Value, schema: &Value, known: &Map<String, Value>) -> Value {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let fields = schema["properties"].as_object().into_iter().flatten();
    let wanted = fields.filter(|(name, _)| {
        known.contains_key(*name) || required.iter().any(|r| r == name.as_str())
    });
    wanted.map(|(name, schema)| (name.clone(), made(document, schema, name, known))).collect()
}
