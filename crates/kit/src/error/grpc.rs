//! Errors over gRPC: the code, and the same details as over HTTP in `google.rpc` messages.

use std::collections::HashMap;

use tonic::Status;
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use super::ApiError;

/// The domain of the error codes.
const DOMAIN: &str = "errors.services";

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let mut metadata = HashMap::from([
            ("retryable".to_owned(), error.retryable().to_string()),
            ("outcome".to_owned(), error.outcome.as_str().to_owned()),
        ]);
        metadata
            .extend(observability::context::request_id().map(|id| ("request_id".to_owned(), id)));

        let mut details = ErrorDetails::new();
        details.set_error_info(error.code.clone(), DOMAIN, metadata);
        if error.retry_after.is_some() {
            details.set_retry_info(error.retry_after);
        }
        let violations: Vec<_> = error
            .fields
            .iter()
            .map(|wrong| FieldViolation {
                reason: wrong.code.to_owned(),
                ..FieldViolation::new(&wrong.field, &wrong.message)
            })
            .collect();
        if !violations.is_empty() {
            details.set_bad_request(violations);
        }
        Self::with_error_details(error.kind.grpc(), error.detail, details)
    }
}

/// Returns the stable code of another service's error, such as `insufficient_points`.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}
