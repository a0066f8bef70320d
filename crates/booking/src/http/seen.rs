//! `Read-After`: the log position that a client has seen. It comes with answers, and goes with the next request for
//! a list.

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::app::{Bookings, Seen};
use crate::domain::Position;

const READ_AFTER: HeaderName = HeaderName::from_static("read-after");

/// The position that a client has seen. A malformed one is ignored: then the primary answers.
pub(super) struct ReadAfter(pub(super) Option<Position>);

impl<S: Send + Sync> FromRequestParts<S> for ReadAfter {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let value = parts.headers.get(READ_AFTER).and_then(|value| value.to_str().ok());
        Ok(Self(value.and_then(|value| value.parse().ok())))
    }
}

impl<T: Serialize> IntoResponse for Seen<T> {
    fn into_response(self) -> Response {
        with_position(Json(self.value).into_response(), self.position)
    }
}

/// Adds the position behind a change to its answer.
pub(super) async fn after_commands(
    State(bookings): State<Bookings>,
    request: Request,
    next: Next,
) -> Response {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    let response = next.run(request).await;
    let status = response.status();
    // A 409 may have changed something too: a failed payment frees the slot.
    if reads || !(status.is_success() || status == StatusCode::CONFLICT) {
        return response;
    }
    with_position(response, bookings.written_to().await)
}

fn with_position(mut response: Response, position: Option<Position>) -> Response {
    let value = position.and_then(|position| HeaderValue::try_from(position.to_string()).ok());
    if let Some(value) = value {
        response.headers_mut().insert(READ_AFTER, value);
    }
    response
}
