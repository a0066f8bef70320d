//! One request and its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::response::Response;
use http::{HeaderValue, StatusCode, Uri, header};
use http_body::Body as _;
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt};
use opentelemetry::{Context, KeyValue};

use super::PanicResponse;
use super::body::Measured;
use super::series::{self, IN_FLIGHT, Series};
use crate::carrier::{self, REQUEST_ID};
use crate::context::{self, Origin};
use crate::panics;

/// The status for a client that left before the answer (as in nginx).
const CLIENT_CLOSED: u16 = 499;

/// Ends once, whatever happens: with an answer, or by being dropped.
pub(super) struct Exchange {
    started: Instant,
    series: Arc<Series>,
    uri: Uri,
    request_id: HeaderValue,
    context: Context,
    ended: bool,
}

impl Exchange {
    pub(super) fn begin(request: &Request) -> Self {
        let started = Instant::now();
        IN_FLIGHT.inc();
        let matched = request.extensions().get::<MatchedPath>();
        let route = series::of(matched.map_or("unmatched", MatchedPath::as_str));
        let series = route.method(request.method()).clone();
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let origin = Origin {
            method: series.method.into(),
            route: series.path.clone(),
            client_ip: peer.map(|ConnectInfo(address)| address.ip()),
            user_agent: request.headers().get(header::USER_AGENT).cloned(),
        };
        let (parent, request_id) = carrier::accept(request.headers(), origin);
        let span = SpanBuilder::from_name(series.span_name.clone()).with_kind(SpanKind::Server);
        let context = context::start(span, &parent);
        let span = context.span();
        if span.is_recording() {
            span.set_attributes([
                KeyValue::new("http.request.method", semantic(series.method)),
                KeyValue::new("http.route", series.path.clone()),
                // Without the query, which may contain tokens.
                KeyValue::new("url.path", path(request.uri()).to_owned()),
            ]);
        }
        let uri = request.uri().clone();
        Self { started, series, uri, request_id, context, ended: false }
    }

    pub(super) fn context(&self) -> Context {
        self.context.clone()
    }

    /// Answers a request whose handler panicked. The hook has logged the panic.
    pub(super) fn panicked(&self, respond: PanicResponse) -> Response {
        let _ = panics::caught(&self.series.path);
        respond(self.request_id.to_str().unwrap_or_default())
    }

    pub(super) fn end(mut self, mut response: Response) -> Response {
        response.headers_mut().insert(REQUEST_ID, self.request_id.clone());
        let size = response.body().size_hint().exact();
        self.close(response.status().as_u16(), size);
        match size {
            Some(bytes) => self.series.observe_size(bytes),
            None => {
                let (series, context) = (self.series.clone(), self.context());
                response = response.map(|body| Body::new(Measured::new(body, series, context)));
            }
        }
        response
    }

    fn close(&mut self, status: u16, size: Option<u64>) {
        self.ended = true;
        IN_FLIGHT.dec();
        let took = self.started.elapsed();
        self.series.observe(status, took.as_secs_f64());
        self.access_line(status, took.as_micros() as f64 / 1000.0, size);
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
            if status >= StatusCode::INTERNAL_SERVER_ERROR.as_u16() {
                span.set_attribute(KeyValue::new("error.type", status.to_string()));
                span.set_status(Status::error(""));
            }
        }
        span.end();
    }

    fn access_line(&self, status: u16, duration_ms: f64, bytes: Option<u64>) {
        let Series { method, path: route, .. } = &*self.series;
        let path = path(&self.uri);
        if status >= StatusCode::INTERNAL_SERVER_ERROR.as_u16() {
            // A warning, because warnings are not dropped when the log is slow.
            tracing::warn!(target: "access", method, route = &**route, path, status, duration_ms, bytes, "request");
        } else {
            tracing::info!(target: "access", method, route = &**route, path, status, duration_ms, bytes, "request");
        }
    }
}

/// A drop before the end means that the client left, or that an outer timeout passed.
impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.ended {
            let _active = self.context.clone().attach();
            self.close(CLIENT_CLOSED, None);
        }
    }
}

/// Returns the path, shortened if necessary.
fn path(uri: &Uri) -> &str {
    let path = uri.path();
    &path[..path.floor_char_boundary(256)]
}

fn semantic(method: &'static str) -> &'static str {
    if method == "other" { "_OTHER" } else { method }
}
