//! The layer around calls to other services.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Instant;

use axum::BoxError;
use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanBuilder, SpanKind, Status as SpanStatus, TraceContextExt};
use prometheus::{HistogramVec, IntCounterVec};
use tonic::Code;
use tonic::body::Body;

use super::body::{self, Call};
use super::name;
use super::series::Series;
use crate::{carrier, context, metrics};

static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "grpc_client_requests_total",
        "Calls made to other services.",
        &["method", "code"],
    )
});
static DURATION: LazyLock<HistogramVec> = LazyLock::new(|| {
    metrics::histogram_vec(
        "grpc_client_request_duration_seconds",
        "Time from a call to the end of its answer.",
        &["method"],
        metrics::DURATION_BUCKETS,
    )
});
/// Paths come from generated clients, so there are few.
static METHODS: LazyLock<RwLock<HashMap<String, Arc<Series>>>> = LazyLock::new(RwLock::default);

/// The layer of [`crate::grpc::client_layer`].
#[derive(Clone)]
pub struct ClientLayer;

impl<S> tower::Layer<S> for ClientLayer {
    type Service = Client<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Client { inner }
    }
}

/// A channel inside [`ClientLayer`].
#[derive(Clone)]
pub struct Client<S> {
    inner: S,
}

impl<S, B, R> tower::Service<http::Request<B>> for Client<S>
where
    S: tower::Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let mut call = ClientCall::begin(of(request.uri().path()));
        let context = call.context();
        let pending = {
            let _active = context.clone().attach();
            carrier::inject(request.headers_mut());
            self.inner.call(request)
        };
        let answer = async move {
            match pending.await {
                Ok(response) => Ok(body::observe(response.map(Body::new), call)),
                Err(error) => {
                    call.ended(Code::Unavailable);
                    Err(error)
                }
            }
        };
        Box::pin(answer.with_context(context))
    }
}

fn of(path: &str) -> Arc<Series> {
    let method = path.trim_start_matches('/');
    let known = METHODS.read().unwrap_or_else(PoisonError::into_inner).get(method).cloned();
    known.unwrap_or_else(|| {
        let mut methods = METHODS.write().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Series::new(method, &DURATION, &REQUESTS));
        methods.entry(method.to_owned()).or_insert_with(new).clone()
    })
}

/// One call, which ends once. The caller logs its failure.
struct ClientCall {
    started: Instant,
    series: Arc<Series>,
    context: opentelemetry::Context,
    ended: bool,
}

impl ClientCall {
    fn begin(series: Arc<Series>) -> Self {
        let started = Instant::now();
        let span = SpanBuilder::from_name(series.method.clone()).with_kind(SpanKind::Client);
        let context = context::start(span, &opentelemetry::Context::current());
        let span = context.span();
        if span.is_recording() {
            span.set_attributes([
                KeyValue::new("rpc.system.name", "grpc"),
                KeyValue::new("rpc.method", series.method.clone()),
            ]);
        }
        Self { started, series, context, ended: false }
    }
}

impl Call for ClientCall {
    fn ended(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.series.observe(code, self.started.elapsed().as_secs_f64());
        let span = self.context.span();
        if span.is_recording() {
            span.set_attribute(KeyValue::new("rpc.status_code", name(code)));
            if code != Code::Ok {
                span.set_attribute(KeyValue::new("error.type", name(code)));
                span.set_status(SpanStatus::error(""));
            }
        }
        span.end();
    }

    fn context(&self) -> opentelemetry::Context {
        self.context.clone()
    }
}

/// A drop before the end means that the caller no longer waits.
impl Drop for ClientCall {
    fn drop(&mut self) {
        self.ended(Code::Cancelled);
    }
}
