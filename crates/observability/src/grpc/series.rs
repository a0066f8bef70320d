//! The metrics of each method, looked up once and then kept.

use std::sync::{PoisonError, RwLock};

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec};
use tonic::Code;

use super::name;

/// The metrics of one method.
pub(super) struct Series {
    /// `package.Service/Method`.
    pub(super) method: String,
    duration: Histogram,
    requests: RwLock<Vec<(Code, IntCounter)>>,
    counters: &'static IntCounterVec,
}

impl Series {
    pub(super) fn new(
        method: &str,
        durations: &'static HistogramVec,
        counters: &'static IntCounterVec,
    ) -> Self {
        let duration = durations.with_label_values(&[method]);
        let series =
            Self { method: method.to_owned(), duration, requests: RwLock::default(), counters };
        // Alerts need these at 0: otherwise the first failure is not an increase.
        for code in [Code::Internal, Code::Unavailable] {
            series.requests(code);
        }
        series
    }

    pub(super) fn observe(&self, code: Code, seconds: f64) {
        self.duration.observe(seconds);
        self.requests(code).inc();
    }

    fn requests(&self, code: Code) -> IntCounter {
        let known = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = known.iter().find(|(known, _)| *known == code) {
            return counter.clone();
        }
        drop(known);
        let counter = self.counters.with_label_values(&[self.method.as_str(), name(code)]);
        let mut known = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        known.push((code, counter.clone()));
        counter
    }
}
