//! The port for operators: metrics, detailed health, the log level.

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
#[cfg(debug_assertions)]
use secrecy::SecretString;

use crate::error::{ApiError, Kind};
use crate::health::Health;
use crate::http::secured;

pub(super) fn router(
    health: &Health,
    #[cfg(debug_assertions)] fault_token: Option<SecretString>,
) -> Router {
    let routes = Router::new()
        .route("/metrics", get(metrics))
        .route("/log-level", get(log_level).put(set_log_level))
        .merge(health.detailed());
    #[cfg(debug_assertions)]
    let routes = routes.merge(crate::fault::routes(fault_token));
    let routes = routes.fallback(|| async {
        ApiError::new(Kind::NotFound, "not_found", "there is no such route")
    });
    secured(routes).merge(health.public())
}

async fn metrics() -> ([(HeaderName, &'static str); 1], Vec<u8>) {
    let (format, text) = observability::metrics::render();
    ([(CONTENT_TYPE, format)], text)
}

async fn log_level() -> String {
    observability::log_level::current()
}

/// Sets log directives such as `info,points=debug`, and returns those in force.
async fn set_log_level(directives: String) -> Result<impl IntoResponse, ApiError> {
    observability::log_level::set(directives.trim())
        .map_err(|error| ApiError::new(Kind::Malformed, "invalid_log_level", error.to_string()))?;
    tracing::info!(directives = directives.trim(), "log level changed");
    Ok((StatusCode::OK, observability::log_level::current()))
}
