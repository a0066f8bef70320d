//! The OpenAPI documents are true.

use axum::http::Method;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};

use crate::callers::{ROUTES, token};
use crate::doors;
use crate::routes::call;
use crate::worlds::World;

/// Checks that a route needs a token and an idempotency key exactly when its documentation says so.
pub async fn truly(world: &impl World, api: &Value, method: &Method, path: &str, cells: &[String]) {
    let operation = &api["paths"][path][method.as_str().to_lowercase()];
    if operation.is_null() {
        return;
    }
    let open = operation["security"] == json!([{}]);
    let expired = ROUTES.iter().position(|caller| *caller == "expired").unwrap();
    assert_eq!(open, cells[expired] != "401", "{method} {path}: security(()) or not?");

    let thing = Box::pin(world.thing()).await;
    let mut call = call(api, method, path, &thing, token(world.issuer(), "operator", &thing));
    call.headers_mut().remove("idempotency-key");
    let reply = doors::ask(world.router(), call).await;
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let keyed = parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key");
    assert_eq!(
        keyed,
        body["code"] == "idempotency_key_required",
        "{method} {path}: params(IdempotencyKey) or not?"
    );
}

/// Checks that every operation documents its errors, and that every reference resolves.
pub fn completely(api: &Value) {
    assert_eq!(api["security"], json!([{ "token": [] }]));
    assert_eq!(api["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    for (path, item) in api["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let problem = &operation["responses"]["default"]["content"]["application/problem+json"];
            let schema = &problem["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/Problem", "{method} {path}");
        }
    }
    references(api, api);
}

fn references(api: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(to) = fields.get("$ref").and_then(Value::as_str) {
                assert!(api.pointer(to.trim_start_matches('#')).is_some(), "{to} leads nowhere");
            }
            fields.values().for_each(|field| references(api, field));
        }
        Value::Array(items) => items.iter().for_each(|item| references(api, item)),
        _ => {}
    }
}
