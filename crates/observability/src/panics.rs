//! A panic is an error like any other: logged once with its stack, counted, survived.

mod hook;

use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;

use futures::FutureExt;
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use prometheus::{IntCounter, IntCounterVec};

use crate::metrics;
pub(crate) use hook::{flush, install};

/// The error of work that panicked. The log has the details.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint} panicked")]
pub struct Panicked {
    pub endpoint: String,
}

/// Counts every panic of the process, caught or not, in the hook.
static TOTAL: LazyLock<IntCounter> = LazyLock::new(|| metrics::counter("panic_total", "Panics."));

static BY_ENDPOINT: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "panic_by_endpoint_total",
        "Panics by matched route, gRPC method, event handler, job or task.",
        &["endpoint"],
    )
});

/// The name of work outside of a request, for the log line of its panic.
struct Endpoint(String);

/// Declares an endpoint, so that `rate()` sees its first panic.
pub fn declare(endpoint: &str) {
    BY_ENDPOINT.with_label_values(&[endpoint]);
}

/// Runs an event handler, job or task, and turns a panic into an error. `endpoint` becomes a label, so there
/// must be few.
pub async fn catch<F: Future>(endpoint: &str, future: F) -> Result<F::Output, Panicked> {
    let context = Context::current_with_value(Endpoint(endpoint.to_owned()));
    let outcome = AssertUnwindSafe(future.with_context(context)).catch_unwind().await;
    outcome.map_err(|_| caught(endpoint))
}

/// Counts a caught panic.
pub(crate) fn caught(endpoint: &str) -> Panicked {
    BY_ENDPOINT.with_label_values(&[endpoint]).inc();
    Panicked { endpoint: endpoint.to_owned() }
}
