//! One registry per process. Requesting a metric twice returns the same one.

use std::any::Any;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let registry = Registry::new();
    registry.register(Box::new(ProcessCollector::for_self())).expect("the registry is empty");
    registry
});

static KNOWN: LazyLock<Mutex<HashMap<String, Box<dyn Any + Send>>>> = LazyLock::new(Mutex::default);

/// Returns the content type and body of a `/metrics` answer.
pub fn render() -> (&'static str, Vec<u8>) {
    let mut body = Vec::with_capacity(16 * 1024);
    if let Err(error) = TextEncoder::new().encode(&REGISTRY.gather(), &mut body) {
        tracing::error!(%error, "metrics could not be rendered");
    }
    (prometheus::TEXT_FORMAT, body)
}

/// Creates a counter without labels, at 0. Its name ends in `_total`.
pub fn counter(name: &str, help: &str) -> IntCounter {
    once(name, || IntCounter::new(name, help))
}

/// Creates counters by label. Initialize each label set that an alert reads: `rate()` misses a first 1.
pub fn counter_vec(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    once(name, || IntCounterVec::new(Opts::new(name, help), labels))
}

/// Creates a gauge without labels.
pub fn gauge(name: &str, help: &str) -> IntGauge {
    once(name, || IntGauge::new(name, help))
}

/// Creates gauges by label.
pub fn gauge_vec(name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    once(name, || IntGaugeVec::new(Opts::new(name, help), labels))
}

/// Creates a histogram without labels; `buckets` are upper bounds in the unit of the name.
pub fn histogram(name: &str, help: &str, buckets: &[f64]) -> Histogram {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    once(name, || Histogram::with_opts(opts))
}

/// Creates histograms by label; `buckets` are upper bounds in the unit of the name.
pub fn histogram_vec(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
    once(name, || HistogramVec::new(opts, labels))
}

/// Registers a collector that reads its values on request.
pub(crate) fn register(collector: impl Collector + 'static) {
    if let Err(error) = REGISTRY.register(Box::new(collector)) {
        tracing::error!(%error, "metrics are missing");
    }
}

/// Returns the metric of this name, creating it on the first call.
///
/// # Panics
/// Panics when a name is malformed or used for two kinds of metric. The first test finds it.
fn once<M>(name: &str, make: impl FnOnce() -> prometheus::Result<M>) -> M
where
    M: Collector + Clone + Send + 'static,
{
    let mut known = KNOWN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(metric) = known.get(name) {
        return metric.downcast_ref::<M>().expect("one name is one kind of metric").clone();
    }
    let metric = make().expect("the metric is well-formed");
    REGISTRY.register(Box::new(metric.clone())).expect("the metric has the labels of its name");
    known.insert(name.to_owned(), Box::new(metric.clone()));
    metric
}
