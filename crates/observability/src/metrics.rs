//! The process's Prometheus registry and the metrics every service has.
//!
//! A metric is a `LazyLock` static beside the code that moves it:
//!
//! ```ignore
//! static EARNED: LazyLock<IntCounterVec> =
//!     LazyLock::new(|| metrics::counter_vec("points_earned_total", "Points credited.", &["source"]));
//! ```

pub mod db;
mod domain;
mod registry;

pub use domain::{concurrency_conflict, declare_conflict, declare_invariant, invariant_violated};
pub use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
};
pub use registry::{counter, counter_vec, gauge, gauge_vec, histogram, histogram_vec, render};
