//! One error in two protocols.

use std::io;
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::IntoResponse;
use http_body_util::BodyExt;
use kit::error::{self, Class, Outcome};
use kit::{ApiError, Classify, Kind};
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the balance is too low")]
    InsufficientPoints,
    #[error("the amount is wrong")]
    InvalidAmount,
    #[error("relation \"secret_table\" does not exist")]
    Broken(#[source] io::Error),
    #[error("connection to secret.host refused")]
    Away,
    #[error("the first request is still running")]
    InProgress,
    #[error("somebody else has changed it meanwhile")]
    Changed,
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::InsufficientPoints => Kind::Conflict.code("insufficient_points"),
            Self::InvalidAmount => Kind::Invalid.code("invalid_amount").field("amount"),
            Self::Broken(_) => Kind::Internal.code("internal_error"),
            Self::Away => Kind::Unavailable.code("database_unavailable"),
            Self::InProgress => Kind::Conflict
                .code("idempotency_in_progress")
                .retry_after(Duration::from_millis(1200)),
            Self::Changed => Kind::Precondition.code("version_conflict").conflict("thing"),
        }
    }
}

async fn over_http(error: Error) -> (StatusCode, Option<String>, Value) {
    let response = ApiError::from(error).into_response();
    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let retry = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, retry, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn over_http_it_is_a_problem() {
    let (status, retry, body) = over_http(Error::InsufficientPoints).await;
    assert_eq!((status.as_u16(), retry), (409, None));
    let expected = json!({
        "type": "/errors#insufficient_points",
        "title": "Conflict",
        "status": 409,
        "detail": "the balance is too low",
        "code": "insufficient_points",
        "retryable": false,
        "outcome": "none",
    });
    assert_eq!(body, expected);

    let (status, _, body) = over_http(Error::InvalidAmount).await;
    assert_eq!(status.as_u16(), 422);
    let field =
        json!([{ "field": "amount", "code": "invalid_amount", "message": "the amount is wrong" }]);
    assert_eq!(body["errors"], field);

    let (status, retry, body) = over_http(Error::InProgress).await;
    assert_eq!((status.as_u16(), retry.as_deref()), (409, Some("2")));
    assert_eq!(body["retryable"], true);
}

#[tokio::test]
async fn what_is_inside_stays_inside() {
    for (error, status, retryable) in
        [(Error::Broken(io::Error::other("secret source")), 500, false), (Error::Away, 503, true)]
    {
        let (got, retry, body) = over_http(error).await;
        assert_eq!(got.as_u16(), status);
        assert_eq!(retry.is_some(), retryable);
        assert_eq!((&body["retryable"], &body["outcome"]), (&json!(retryable), &json!("unknown")));
        assert!(!body.to_string().contains("secret"), "{body}");
    }
    let status = Status::from(ApiError::from(Error::Broken(io::Error::other("secret source"))));
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    assert!(!String::from_utf8_lossy(status.details()).contains("secret"));
}

#[test]
fn over_grpc_it_is_a_status_with_the_same_details() {
    let status = Status::from(ApiError::from(Error::InvalidAmount));
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(error::reason(&status).as_deref(), Some("invalid_amount"));
    let details = status.get_error_details();
    let violation = &details.bad_request().unwrap().field_violations[0];
    assert_eq!((violation.field.as_str(), violation.reason.as_str()), ("amount", "invalid_amount"));

    let status = Status::from(ApiError::from(Error::Away));
    assert_eq!(status.code(), Code::Unavailable);
    let details = status.get_error_details();
    assert_eq!(details.error_info().unwrap().metadata["outcome"], "unknown");
    assert_eq!(details.retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
    assert_eq!(error::reason(&Status::not_found("plain")), None);
}

#[test]
fn every_kind_has_its_place_in_the_table() {
    use Kind::*;
    let table = [
        (Malformed, 400, Code::InvalidArgument),
        (Invalid, 422, Code::InvalidArgument),
        (Unauthenticated, 401, Code::Unauthenticated),
        (Forbidden, 403, Code::PermissionDenied),
        (NotFound, 404, Code::NotFound),
        (MethodNotAllowed, 405, Code::Unimplemented),
        (Timeout, 408, Code::DeadlineExceeded),
        (Conflict, 409, Code::Aborted),
        (TooLarge, 413, Code::ResourceExhausted),
        (UnsupportedMediaType, 415, Code::InvalidArgument),
        (Refused, 422, Code::FailedPrecondition),
        (Precondition, 412, Code::FailedPrecondition),
        (PreconditionRequired, 428, Code::FailedPrecondition),
        (RateLimited, 429, Code::ResourceExhausted),
        (Unavailable, 503, Code::Unavailable),
        (Internal, 500, Code::Internal),
    ];
    for (kind, http, grpc) in table {
        assert_eq!((kind.http().as_u16(), kind.grpc()), (http, grpc), "{kind:?}");
        let unsure = matches!(kind, Unavailable | Internal);
        assert_eq!(kind.outcome() == Outcome::Unknown, unsure, "{kind:?}");
        assert_eq!(
            kind.retryable(),
            matches!(kind, Timeout | RateLimited | Unavailable),
            "{kind:?}"
        );
    }
}

#[test]
fn a_conflict_is_counted_by_what_it_is_about_when_it_is_answered() {
    let counted = || {
        let metrics = String::from_utf8(observability::metrics::render().1).unwrap();
        let series = "concurrency_conflict_total{aggregate=\"thing\"} ";
        metrics.lines().find_map(|line| line.strip_prefix(series)?.parse::<u32>().ok())
    };
    observability::metrics::declare_conflict("thing");
    let _ = ApiError::from(Error::Away);
    assert_eq!(counted(), Some(0));
    assert_eq!(ApiError::from(Error::Changed).kind(), Kind::Precondition);
    assert_eq!(counted(), Some(1));
}
