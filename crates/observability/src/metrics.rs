//! The process's Prometheus registry, and the metrics of every service.
//!
//! A metric is a `LazyLock` static beside the code that changes it:
//!
//! ```ignore
//! static EARNED: LazyLock<IntCounterVec> =
//!     LazyLock::new(|| metrics::counter_vec("points_earned_total", "Points credited.", &["source"]));
//! ```

mod build;
pub mod db;
mod domain;
pub(crate) mod registry;
mod runtime;

pub use domain::{concurrency_conflict, declare_conflict, declare_invariant, invariant_violated};
pub use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};
pub use registry::{counter, counter_vec, gauge, gauge_vec, histogram, histogram_vec, render};

/// 1 ms to 10 s, for requests and calls.
pub(crate) const DURATION_BUCKETS: &[f64] =
    &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Registers the metrics of the build and of the runtime. All others are registered on first use.
pub(crate) fn start(version: &'static str, runtime: tokio::runtime::Handle) {
    build::announce(version, &runtime);
    match runtime::Runtime::new(runtime) {
        Ok(runtime) => registry::register(runtime),
        Err(error) => tracing::error!(%error, "no metrics of the runtime"),
    }
}
