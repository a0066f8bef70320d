//! A panic is a failure like any other: logged once with its stack, counted, survived.

use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use prometheus::{IntCounter, IntCounterVec};
use std::sync::LazyLock;

use crate::metrics;

/// The work panicked. What and where is in the log.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint} panicked")]
pub struct Panicked {
    pub endpoint: String,
}

/// Every panic of the process, caught or not: the hook counts.
pub(crate) static TOTAL: LazyLock<IntCounter> =
    LazyLock::new(|| metrics::counter("panic_total", "Panics."));

static BY_ENDPOINT: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "panic_by_endpoint_total",
        "Panics by matched route, gRPC method, event handler, job or task.",
        &["endpoint"],
    )
});

/// Declares an endpoint, so that its first panic is seen by `rate()`.
pub fn declare(endpoint: &str) {
    BY_ENDPOINT.with_label_values(&[endpoint]);
}

/// Runs an event handler, job or task; a panic in it becomes an error.
pub async fn catch<F: Future>(endpoint: &str, future: F) -> Result<F::Output, Panicked> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|_| caught(endpoint))
}

pub(crate) fn caught(endpoint: &str) -> Panicked {
    BY_ENDPOINT.with_label_values(&[endpoint]).inc();
    Panicked { endpoint: endpoint.to_owned() }
}
