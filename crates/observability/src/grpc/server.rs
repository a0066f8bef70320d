//! The layer around calls from outside.

use std::collections::HashMap;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::BoxError;
use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderValue, header};
use opentelemetry::KeyValue;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanBuilder, SpanKind, Status as SpanStatus, TraceContextExt};
use prometheus::{HistogramVec, IntCounterVec};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
use tonic::{Code, Status};

use super::body::{self, Call};
use super::series::Series;
use super::{is_server_fault, name};
use crate::carrier::{self, REQUEST_ID};
use crate::context::{self, Origin};
use crate::{metrics, panics};

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec("grpc_requests_total", "Calls answered.", &["method", "code"])
});
static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    metrics::histogram_vec(
        "grpc_request_duration_seconds",
        "Time from the head of a call to the end of its answer.",
        &["method"],
        metrics::DURATION_BUCKETS,
    )
});

/// The methods that every server has in addition to its own.
const STANDARD: [&str; 3] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
];

/// The layer of [`crate::grpc::layer`].
#[derive(Clone)]
pub struct ServerLayer {
    methods: Arc<Methods>,
}

/// The metrics of known methods, created before the first call, so that `rate()` sees the first failure.
struct Methods {
    known: HashMap<String, Arc<Series>>,
    other: Arc<Series>,
}

impl ServerLayer {
    pub(super) fn new(descriptors: &[u8], service: &str) -> Self {
        let files = FileDescriptorSet::decode(descriptors).unwrap_or_else(|error| {
            tracing::error!(%error, "unreadable descriptors: every method is counted as `other`");
            FileDescriptorSet::default()
        });
        let ours =
            files.file.iter().filter(|file| file.package().split('.').next() == Some(service));
        let own = ours.flat_map(|file| {
            file.service.iter().flat_map(move |service| {
                let prefix = format!("{}.{}", file.package(), service.name());
                service.method.iter().map(move |method| format!("{prefix}/{}", method.name()))
            })
        });
        let known = own.chain(STANDARD.map(str::to_owned));
        let known = known.map(|method| (method.clone(), series(&method))).collect();
        Self { methods: Arc::new(Methods { known, other: series("other") }) }
    }
}

impl Methods {
    fn of(&self, path: &str) -> Arc<Series> {
        self.known.get(path.trim_start_matches('/')).unwrap_or(&self.other).clone()
    }
}

fn series(method: &str) -> Arc<Series> {
    panics::declare(method);
    Arc::new(Series::new(method, &DURATION, &REQUESTS))
}

impl<S> tower::Layer<S> for ServerLayer {
    type Service = Server<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Server { inner, methods: self.methods.clone() }
    }
}

/// A gRPC service inside [`ServerLayer`].
#[derive(Clone)]
pub struct Server<S> {
    inner: S,
    methods: Arc<Methods>,
}

impl<S, B, R> tower::Service<http::Request<B>> for Server<S>
where
    S: tower::Service<http::Request<B>, Response = http::Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        // The clone may not be ready; the polled service is.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let series = self.methods.of(request.uri().path());
        let (mut call, request_id) = ServerCall::begin(series, &request);
        let context = call.context();
        let answer = async move {
            let handled = async move { inner.call(request).await };
            let response = match AssertUnwindSafe(handled).catch_unwind().await {
                Ok(Ok(response)) => response.map(Body::new),
                Ok(Err(error)) => {
                    call.ended(Code::Internal);
                    return Err(error);
                }
                Err(_) => {
                    call.panicked();
                    Status::internal("internal error").into_http()
                }
            };
            let mut response = body::observe(response, call);
            response.headers_mut().insert(REQUEST_ID, request_id);
            Ok(response)
        };
        Box::pin(answer.with_context(context))
    }
}

/// One call, which ends once.
struct ServerCall {
    started: Instant,
    series: Arc<Series>,
    context: opentelemetry::Context,
    ended: bool,
}

impl ServerCall {
    fn begin<B>(series: Arc<Series>, request: &http::Request<B>) -> (Self, HeaderValue) {
        let started = Instant::now();
        let origin = Origin {
            method: "gRPC".into(),
            route: series.method.as_str().into(),
            client_ip: client_ip(request),
            user_agent: request.headers().get(header::USER_AGENT).cloned(),
        };
        let (parent, request_id) = carrier::accept(request.headers(), origin);
        let span = SpanBuilder::from_name(series.method.clone()).with_kind(SpanKind::Server);
        let context = context::start(span, &parent);
        let span = context.span();
        if span.is_recording() {
            span.set_attributes([
                KeyValue::new("rpc.system.name", "grpc"),
                KeyValue::new("rpc.method", series.method.clone()),
            ]);
        }
        (Self { started, series, context, ended: false }, request_id)
    }
}

impl Call for ServerCall {
    fn ended(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let took = self.started.elapsed();
        self.series.observe(code, took.as_secs_f64());
        let duration_ms = took.as_micros() as f64 / 1000.0;
        let (method, code_name) = (self.series.method.as_str(), name(code));
        if is_server_fault(code) {
            // A warning, because warnings are not dropped when the log is slow.
            tracing::warn!(target: "access", method, code = code_name, duration_ms, "call");
        } else {
            tracing::info!(target: "access", method, code = code_name, duration_ms, "call");
        }
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("rpc.status_code", code_name));
            if is_server_fault(code) {
                span.set_attribute(KeyValue::new("error.type", code_name));
                span.set_status(SpanStatus::error(""));
            }
        }
        span.end();
    }

    fn context(&self) -> opentelemetry::Context {
        self.context.clone()
    }

    fn panicked(&mut self) {
        let _ = panics::caught(&self.series.method);
    }
}

/// A drop before the end means that the client left, or that the deadline passed.
impl Drop for ServerCall {
    fn drop(&mut self) {
        if !self.ended {
            let _active = self.context.clone().attach();
            self.ended(Code::Cancelled);
        }
    }
}

fn client_ip<B>(request: &http::Request<B>) -> Option<IpAddr> {
    let peer = request.extensions().get::<TcpConnectInfo>()?;
    peer.remote_addr().map(|address| address.ip())
}
