use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::command::Answer;

/// Marks a replayed answer.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Answers with the recorded JSON, byte for byte, and `Idempotency-Replayed: true` on a replay.
impl<T> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.success().status()).unwrap_or(StatusCode::OK);
        let json = HeaderValue::from_static("application/json");
        let is_replay = self.is_replay();
        let body = self.into_body();
        let mut response = (status, [(header::CONTENT_TYPE, json)], body).into_response();
        if is_replay {
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        }
        response
    }
}
