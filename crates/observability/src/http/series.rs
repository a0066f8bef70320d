//! The metrics of each route, looked up once and then kept.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, OnceLock, PoisonError, RwLock};

use http::Method;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge};

use crate::{metrics, panics};

/// Any other method is `other`: labels must not come from the client.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::HEAD,
    Method::OPTIONS,
];
const OTHER: usize = METHODS.len();
const NAMES: [&str; METHODS.len() + 1] =
    ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"];

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "http_requests_total",
        "Requests answered; 499 means that the client left.",
        &["method", "path", "status"],
    )
});
static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    metrics::histogram_vec(
        "http_request_duration_seconds",
        "Time from the head of a request to the head of its answer.",
        &["method", "path"],
        metrics::DURATION_BUCKETS,
    )
});
static SIZE: LazyLock<HistogramVec> = LazyLock::new(|| {
    metrics::histogram_vec(
        "http_response_size_bytes",
        "Size of the answer's body.",
        &["method", "path"],
        &[100.0, 1e3, 1e4, 1e5, 1e6, 1e7],
    )
});
pub(super) static IN_FLIGHT: LazyLock<IntGauge> =
    LazyLock::new(|| metrics::gauge("http_requests_in_flight", "Requests being handled."));

/// Contains only routes of the router, so it stays small.
static ROUTES: LazyLock<RwLock<HashMap<String, Arc<Route>>>> = LazyLock::new(RwLock::default);

/// A route and its methods.
pub(super) struct Route {
    pub(super) path: Arc<str>,
    methods: [OnceLock<Arc<Series>>; METHODS.len() + 1],
}

/// The metrics of one method of one route.
pub(super) struct Series {
    pub(super) method: &'static str,
    pub(super) path: Arc<str>,
    pub(super) span_name: String,
    duration: Histogram,
    size: Histogram,
    requests: RwLock<Vec<(u16, IntCounter)>>,
}

/// Returns the metrics of a matched route.
pub(super) fn of(path: &str) -> Arc<Route> {
    let known = ROUTES.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned();
    known.unwrap_or_else(|| {
        let mut routes = ROUTES.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Route { path: path.into(), methods: Default::default() });
        routes.entry(path.to_owned()).or_insert_with(new).clone()
    })
}

/// Initializes the series that alerts read at 0, so that a first failure is an increase.
pub(super) fn declare(method: &Method, path: &str) {
    panics::declare(path);
    for status in ["500", "503"] {
        REQUESTS.with_label_values(&[NAMES[index(method)], path, status]);
    }
}

fn index(method: &Method) -> usize {
    METHODS.iter().position(|known| known == method).unwrap_or(OTHER)
}

impl Route {
    pub(super) fn method(&self, method: &Method) -> &Arc<Series> {
        let index = index(method);
        self.methods[index].get_or_init(|| Arc::new(Series::new(method, self.path.clone())))
    }
}

impl Series {
    fn new(method: &Method, path: Arc<str>) -> Self {
        declare(method, &path);
        let method = NAMES[index(method)];
        Self {
            method,
            span_name: format!("{method} {path}"),
            duration: DURATION.with_label_values(&[method, &path]),
            size: SIZE.with_label_values(&[method, &path]),
            requests: RwLock::default(),
            path,
        }
    }

    pub(super) fn observe(&self, status: u16, seconds: f64) {
        self.duration.observe(seconds);
        self.requests(status).inc();
    }

    pub(super) fn observe_size(&self, bytes: u64) {
        self.size.observe(bytes as f64);
    }

    fn requests(&self, status: u16) -> IntCounter {
        let known = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, counter)) = known.iter().find(|(known, _)| *known == status) {
            return counter.clone();
        }
        drop(known);
        let counter =
            REQUESTS.with_label_values(&[self.method, &*self.path, status.to_string().as_str()]);
        let mut known = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        known.push((status, counter.clone()));
        counter
    }
}
