//! The metrics of the pool and its statements, updated by `kit::postgres`.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::{HistogramVec, IntCounterVec, IntGaugeVec};

use super::{counter_vec, gauge_vec, histogram_vec};

/// Minimum duration of a slow statement, which is counted and logged.
pub const SLOW: Duration = Duration::from_millis(100);

const BUCKETS: &[f64] = &[0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

static ACTIVE: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge_vec("db_connections_active", "Connections in use.", &["service"]));
static IDLE: LazyLock<IntGaugeVec> =
    LazyLock::new(|| gauge_vec("db_connections_idle", "Idle connections.", &["service"]));
static BY_STATE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauge_vec(
        "db_connections",
        "Connections by state: in use, idle and maximum.",
        &["service", "state"],
    )
});
static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram_vec(
        "db_query_duration_seconds",
        "Duration of a statement, including the round trip.",
        &["service", "operation"],
        BUCKETS,
    )
});
static SLOW_QUERIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec("db_slow_queries_total", "Statements slower than 100 ms.", &["service"])
});

/// Initializes the series of a service's pool.
pub fn declare(service: &str, max: u32) {
    SLOW_QUERIES.with_label_values(&[service]);
    connections(service, 0, 0, max);
}

/// Sets the gauges of the pool's connections. All three states have the same labels, so that they can be
/// divided.
pub fn connections(service: &str, in_use: u32, idle: u32, max: u32) {
    ACTIVE.with_label_values(&[service]).set(in_use.into());
    IDLE.with_label_values(&[service]).set(idle.into());
    for (state, count) in [("in_use", in_use), ("idle", idle), ("max", max)] {
        BY_STATE.with_label_values(&[service, state]).set(count.into());
    }
}

/// Counts a finished statement. Returns true when it was slow and should be logged.
pub fn statement(service: &str, operation: &'static str, took: Duration) -> bool {
    DURATION.with_label_values(&[service, operation]).observe(took.as_secs_f64());
    let slow = took > SLOW;
    if slow {
        SLOW_QUERIES.with_label_values(&[service]).inc();
    }
    slow
}
