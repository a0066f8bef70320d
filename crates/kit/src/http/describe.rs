//! Completes every API's OpenAPI description with the parts that all share.

use axum::http::Method;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Components, Content, OpenApi, Ref, Response, ResponseBuilder};
use utoipa::{IntoParams, OpenApi as _};

use crate::error::Problem;

/// The `Idempotency-Key` header in an API's description: `params(IdempotencyKey)` on every route of a
/// [`Command`](super::Command).
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it is only described: `Command` reads the header")]
pub struct IdempotencyKey {
    /// A new one for each command, the same for its repetition: the first answer is given again.
    #[param(min_length = 1, max_length = 255, example = "0c5b7a1e-6f5f-4a44-9d6c-8d7c6a1f3b52")]
    #[param(rename = "Idempotency-Key")]
    idempotency_key: String,
}

/// The token that every route requires, unless it declares `security(())`, and the schema of errors.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)), security(("token" = [])))]
struct Shared;

pub(super) fn complete(api: &mut OpenApi) {
    api.merge(Shared::openapi());
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The `access_token` of POST /v1/login at auth. It lives for 5 minutes."))
        .build();
    let components = api.components.get_or_insert_with(Components::new);
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    for item in api.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            operation.responses.responses.insert("default".to_owned(), problem().into());
        }
    }
}

/// Initializes the counters of every operation at 0, so that `rate()` sees the first failure.
pub(super) fn declare(api: &OpenApi) {
    for (path, item) in &api.paths.paths {
        let operations = [
            (Method::GET, &item.get),
            (Method::PUT, &item.put),
            (Method::POST, &item.post),
            (Method::DELETE, &item.delete),
            (Method::PATCH, &item.patch),
        ];
        for (method, _) in operations.iter().filter(|(_, operation)| operation.is_some()) {
            observability::http::declare(method, path);
        }
    }
}

/// Returns the description of error answers.
fn problem() -> Response {
    let content = Content::new(Some(Ref::from_schema_name("Problem")));
    ResponseBuilder::new()
        .description("What went wrong: `code` is for programs, and docs/errors.md lists them")
        .content("application/problem+json", content)
        .build()
}
