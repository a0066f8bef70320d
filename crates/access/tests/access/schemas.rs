//! Answers match the API's description.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Panics at an answer that contradicts its description. Answers without a description pass.
pub fn hold(document: &Value, call: (&str, &str), status: &str, media_type: &str, body: &Value) {
    let (method, path) = call;
    let responses = &document["paths"][path][method.to_lowercase()]["responses"];
    let response = responses.get(status).or_else(|| responses.get("default"));
    let content = response.and_then(|response| response["content"].get(media_type));
    let Some(schema) = content.and_then(|content| content.get("schema")) else { return };
    if let Err(why) = check(document, schema, body, "") {
        panic!("{method} {path} answers {status} against its description: {why}\n{body:#}");
    }
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(to) = schema["$ref"].as_str() {
        let pointer = to.trim_start_matches('#');
        let schema = document.pointer(pointer).ok_or_else(|| format!("{to} leads nowhere"))?;
        return check(document, schema, value, at);
    }
    let all = |name: &str| schema[name].as_array().into_iter().flatten();
    for schema in all("allOf") {
        check(document, schema, value, at)?;
    }
    for one in ["oneOf", "anyOf"] {
        let tried: Vec<_> = all(one).map(|schema| check(document, schema, value, at)).collect();
        if !tried.is_empty() && tried.iter().all(Result::is_err) {
            return Err(format!("{at} is none of {one}: {tried:?}"));
        }
    }
    let allowed = &schema["enum"];
    if allowed.as_array().is_some_and(|allowed| !allowed.contains(value)) {
        return Err(format!("{at} is {value}, which is none of {allowed}"));
    }
    let types: Vec<_> = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        types => types.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    if !types.is_empty() && !types.iter().any(|kind| is(value, kind)) {
        return Err(format!("{at} is {value}, which is no {types:?}"));
    }
    if let Some(fields) = value.as_object() {
        for required in all("required").filter_map(Value::as_str) {
            if !fields.contains_key(required) {
                return Err(format!("{at} has no {required}"));
            }
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            if let Some(value) = fields.get(name) {
                check(document, schema, value, &format!("{at}/{name}"))?;
            }
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(document, &schema["items"], item, &format!("{at}/{index}"))?;
    }
    Ok(())
}

fn is(value: &Value, kind: &str) -> bool {
    match kind {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}

/// A description knows types by name: of two with one name, the later would describe the answers of both.
#[test]
fn no_two_types_of_a_service_have_one_schema_name() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for service in ["auth", "points", "booking", "incidents"] {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for of in [service, "kit"] {
            for file in sources(&crates.join(of).join("src")) {
                for name in described(&fs::read_to_string(&file).unwrap()) {
                    found.entry(name).or_default().push(file.display().to_string());
                }
            }
        }
        assert!(found.len() > 10, "{service}: {found:?}");
        let twice: Vec<_> = found.iter().filter(|(_, files)| files.len() > 1).collect();
        assert!(twice.is_empty(), "{service}: {twice:#?}");
    }
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            files.push(path);
        }
    }
    files
}

/// The schema names of the types in a file.
fn described(source: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in source.match_indices("ToSchema") {
        let rest = &source[at..];
        // In a derive and not in a `use`; the type follows, with its own attributes before it.
        let Some((derive, item)) = rest.split_once(")]") else { continue };
        if derive.contains(';') {
            continue;
        }
        let mut words = item.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.find(|word| ["struct", "enum"].contains(word));
        let name = words.find(|word| !word.is_empty()).unwrap_or_default();
        let attributes = item.split_once(name).map_or("", |(before, _)| before);
        let renamed = attributes.split_once("schema(as = ").map(|(_, rest)| rest);
        let renamed = renamed.and_then(|rest| rest.split([',', ')']).next());
        names.push(renamed.unwrap_or(name).to_owned());
    }
    names
}

#[test]
fn an_answer_against_its_description_is_found() {
    let document = serde_json::json!({
        "paths": { "/x": { "get": { "responses": { "200": { "content": { "application/json": {
            "schema": { "$ref": "#/components/schemas/X" } } } } } } } },
        "components": { "schemas": { "X": { "type": "object", "required": ["kind"], "properties": {
            "kind": { "oneOf": [{ "type": "null" }, { "type": "string", "enum": ["a", "b"] }] },
            "parts": { "type": "array", "items": { "type": ["integer", "null"] } } } } } },
    });
    let schema = serde_json::json!({ "$ref": "#/components/schemas/X" });
    for (value, right) in [
        (serde_json::json!({ "kind": "a", "parts": [1, null], "more": 1 }), true),
        (serde_json::json!({ "kind": null }), true),
        (serde_json::json!({ "kind": "c" }), false),
        (serde_json::json!({ "parts": [] }), false),
        (serde_json::json!({ "kind": "a", "parts": ["1"] }), false),
        (serde_json::json!({ "kind": "a", "parts": {} }), false),
        (serde_json::json!([]), false),
    ] {
        assert_eq!(check(&document, &schema, &value, "").is_ok(), right, "{value}");
    }
}
