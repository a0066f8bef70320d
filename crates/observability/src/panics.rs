//! A panic is a failure like any other: logged once with its stack, counted, survived.

mod hook;

use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;

use futures::FutureExt;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use prometheus::{IntCounter, IntCounterVec};

use crate::metrics;
pub(crate) use hook::{flush, install};

/// The error of work that panicked. What and where is in the log.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint} panicked")]
pub struct Panicked {
    pub endpoint: String,
}

/// Every panic of the process, caught or not: the hook counts.
static TOTAL: LazyLock<IntCounter> = LazyLock::new(|| metrics::counter("panic_total", "Panics."));

static BY_ENDPOINT: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "panic_by_endpoint_total",
        "Panics by matched route, gRPC method, event handler, job or task.",
        &["endpoint"],
    )
});

/// What is running outside of a request, for the log line of its panic.
struct Endpoint(String);

/// Declares an endpoint, so that its first panic is seen by `rate()`.
pub fn declare(endpoint: &str) {
    BY_ENDPOINT.with_label_values(&[endpoint]);
}

/// Runs an event handler, job or task; a panic in it becomes an error. `endpoint` becomes a label:
/// one of few.
pub async fn catch<F: Future>(endpoint: &str, future: F) -> Result<F::Output, Panicked> {
    let context = Context::current_with_value(Endpoint(endpoint.to_owned()));
    let outcome = AssertUnwindSafe(future.with_context(context)).catch_unwind().await;
    outcome.map_err(|_| caught(endpoint))
}

/// Counts a panic that was caught.
pub(crate) fn caught(endpoint: &str) -> Panicked {
    BY_ENDPOINT.with_label_values(&[endpoint]).inc();
    Panicked { endpoint: endpoint.to_owned() }
}
