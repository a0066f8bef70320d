//! Faults on demand, for `make chaos-…`: the admin port's `PUT /fault` with `panic`, `errors` or `none`.
//!
//! In debug builds only: a release has neither the switch nor what it switches.

use std::sync::atomic::{AtomicU8, Ordering};

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

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

/// Takes the name of a fault, and gives back what is in force.
pub(crate) async fn switch(name: String) -> Result<&'static str, ApiError> {
    let found = (0_u8..).zip(NAMES).find(|(_, known)| *known == name.trim());
    let (index, name) = found.ok_or_else(|| {
        ApiError::new(Kind::Malformed, "malformed_body", "a fault is none, panic or errors")
    })?;
    ACTIVE.store(index, Ordering::Relaxed);
    tracing::warn!(fault = name, "fault switched");
    Ok(name)
}
