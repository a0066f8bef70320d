//! Fault injection for `make chaos-…`: `PUT /fault` on the admin port with `panic`, `errors` or `none`, and
//! `FAULT_TOKEN` as the bearer token. Without that variable the route does not exist.
//!
//! Debug builds only: a release contains none of this.

use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use secrecy::{ExposeSecret as _, SecretString};

use crate::error::{ApiError, Kind};

const NAMES: [&str; 3] = ["none", "panic", "errors"];

/// The active fault, as an index into [`NAMES`].
static ACTIVE: AtomicU8 = AtomicU8::new(0);

/// The innermost layer, at the place of a bug in a handler.
#[expect(clippy::panic, reason = "this is what it is for")]
pub(crate) async fn inject(request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    match ACTIVE.load(Ordering::Relaxed) {
        1 => panic!("injected fault: panic"),
        2 => ApiError::new(Kind::Internal, "internal_error", "internal error").into_response(),
        _ => next.run(request).await,
    }
}

/// Returns the admin route that switches faults.
pub(crate) fn routes(token: Option<SecretString>) -> Router {
    let Some(token) = token else { return Router::new() };
    let switch = async move |headers: HeaderMap, name: String| {
        let bearer = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if bearer == Some(token.expose_secret()) {
            switch(&name)
        } else {
            Err(ApiError::new(
                Kind::Unauthenticated,
                "invalid_token",
                "the bearer token is not FAULT_TOKEN",
            ))
        }
    };
    Router::new().route("/fault", put(switch))
}

/// Activates a fault by name, and returns the name.
fn switch(name: &str) -> Result<&'static str, ApiError> {
    let found = (0_u8..).zip(NAMES).find(|(_, known)| *known == name.trim());
    let (index, name) = found.ok_or_else(|| {
        ApiError::new(Kind::Malformed, "malformed_body", "the fault must be none, panic or errors")
    })?;
    ACTIVE.store(index, Ordering::Relaxed);
    tracing::warn!(fault = name, "fault switched");
    Ok(name)
}
