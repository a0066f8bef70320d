//! The public router with all its layers.

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tokio::time::{Instant, timeout_at};
use tower::ServiceBuilder;
use utoipa_swagger_ui::SwaggerUi;

use super::{Limits, client_limits, describe};
use crate::caller::Verifier;
use crate::error::{self, ApiError, Kind};
use crate::{command, deadline};

/// The policy of data: nothing may run, and no page may frame it.
const DATA_ONLY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; base-uri 'none'");

/// The policy of the documentation, whose scripts and styles are served by us.
const DOCS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// The policy of HTML pages: scripts, styles and forms of our own, nothing inline.
const PAGE: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// Builds the public router: the routes, `/openapi.json`, `/docs`, problems for unknown routes and methods,
/// and the layers from top to bottom.
pub fn edge(routes: Router, openapi: utoipa::openapi::OpenApi, verifier: Verifier) -> Router {
    edge_with(Limits::default(), routes, openapi, verifier)
}

/// Like [`edge`], with other limits.
pub fn edge_with(
    limits: Limits,
    routes: Router,
    mut openapi: utoipa::openapi::OpenApi,
    verifier: Verifier,
) -> Router {
    describe::complete(&mut openapi);
    describe::declare(&openapi);
    let layers = ServiceBuilder::new()
        // Outermost, so that everything below is measured, logged and traced, including a panic, which it
        // turns into `panic_response`.
        .layer(observability::http::layer(panic_response))
        // On every answer, including those of the layers below.
        .layer(from_fn(security_headers))
        // Also on refusals, so that a page can read them.
        .layer(from_fn(move |request, next| client_limits::cors(limits.origins, request, next)))
        // A hanging handler must not hold its client, or memory, forever.
        .layer(from_fn(move |request, next| timeout(limits, request, next)))
        // For axum's own extractors; ours read `Limits`.
        .layer(DefaultBodyLimit::max(limits.body.0))
        .layer(Extension(limits))
        // For `kit::Caller`.
        .layer(Extension(verifier))
        // After the verifier, because it identifies the caller.
        .layer(from_fn(move |request, next| client_limits::rate_limit(limits, request, next)))
        // Innermost, so that an admitted write continues when the client, or a limit above, gives up.
        .layer(from_fn(command::outlive));

    // Debug builds only: injects faults at the place of a handler's bug.
    #[cfg(debug_assertions)]
    let routes = routes.layer(from_fn(crate::fault::inject));
    routes
        .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi))
        .fallback(|| async { ApiError::new(Kind::NotFound, "not_found", "there is no such route") })
        .method_not_allowed_fallback(|| async {
            ApiError::new(
                Kind::MethodNotAllowed,
                "method_not_allowed",
                "the method is not allowed here; see the Allow header",
            )
        })
        .layer(layers)
}

/// Adds the security headers to routes outside of [`edge`], such as the probes.
pub fn secured(routes: Router) -> Router {
    routes.layer(from_fn(security_headers))
}

fn panic_response(request_id: &str) -> Response {
    let mut response = error::panic_response(request_id);
    secure(response.headers_mut(), false);
    response
}

async fn security_headers(request: Request, next: Next) -> Response {
    let docs = is_docs(&request);
    let http1 = request.version() <= Version::HTTP_11;
    let mut response = next.run(request).await;
    secure(response.headers_mut(), docs);
    // The rest of the body is still on its way and will not be read.
    if http1
        && matches!(response.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT)
    {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn is_docs(request: &Request) -> bool {
    request.uri().path().starts_with("/docs")
}

fn secure(headers: &mut HeaderMap, docs: bool) {
    // Answers are personal; a handler with a public answer, such as a key set, sets its own header.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let page = headers
        .get(CONTENT_TYPE)
        .is_some_and(|media_type| media_type.as_bytes().starts_with(b"text/html"));
    let policy = match (docs, page) {
        (true, _) => DOCS,
        (false, true) => PAGE,
        (false, false) => DATA_ONLY,
    };
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (CONTENT_SECURITY_POLICY, policy),
        (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (
            STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains"),
        ),
    ] {
        headers.insert(name, value);
    }
}

async fn timeout(limits: Limits, request: Request, next: Next) -> Response {
    // Calls made for the request get no more time than it has.
    let by = Instant::now() + limits.request_timeout;
    timeout_at(by, deadline::within(by, next.run(request))).await.unwrap_or_else(|_| {
        ApiError::new(Kind::Unavailable, "deadline_exceeded", "the request took too long")
            .into_response()
    })
}
