//! Faults on demand, for `make chaos-…`: the admin port's `PUT /fault` with `panic`, `errors` or `none`, for
//! whoever brings `FAULT_TOKEN` as a bearer token. Without that variable there is no switch.
//!
//! In debug builds only: a release has neither the switch nor what it switches.

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

/// What happens to every request of the public API: the index of its name.
static ACTIVE: AtomicU8 = AtomicU8::new(0);

/// Innermost, where a handler's own bug would be.
#[expect(clippy::panic, reason = "this is what it is for")]
pub(crate) async fn inject(request: Request, next: Next) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    match ACTIVE.load(Ordering::Relaxed) {
        1 => panic!("a fault was switched on: panic"),
        2 => ApiError::new(Kind::Internal, "internal_error", "internal error").into_response(),
        _ => next.run(request).await,
    }
}

/// The switch, for the admin port.
pub(crate) fn routes(token: Option<SecretString>) -> Router {
    let Some(token) = token else { return Router::new() };
    let switch = async move |headers: HeaderMap, name: String| {
        let bearer = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if bearer == Some(token.expose_secret()) {
            switch(&name)
        } else {
            Err(ApiError::new(Kind::Unauthenticated, "invalid_token", "this is not FAULT_TOKEN"))
        }
    };
    Router::new().route("/fault", put(switch))
}

/// Takes the name of a fault, and gives back what is in force.
fn switch(name: &str) -> Result<&'static str, ApiError> {
    let found = (0_u8..).zip(NAMES).find(|(_, known)| *known == name.trim());
    let (index, name) = found.ok_or_else(|| {
        ApiError::new(Kind::Malformed, "malformed_body", "a fault is none, panic or errors")
    })?;
    ACTIVE.store(index, Ordering::Relaxed);
    tracing::warn!(fault = name, "fault switched");
    Ok(name)
}
