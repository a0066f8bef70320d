//! Who and what a piece of work belongs to.
//!
//! All of it is one [`opentelemetry::Context`]: the current span (also when it is not sampled), the
//! baggage, and the ids of the request. Whatever logs, opens a span or calls another service takes its ids
//! from there. A plain `tokio::spawn` starts without a context; [`spawn`] carries it along.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, OnceLock};

use http::HeaderValue;
use opentelemetry::context::{FutureExt, WithContext};
use opentelemetry::trace::{
    SpanBuilder, SpanKind, Status, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue, Value};
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// The request, event or job that work is done for.
#[derive(Default)]
pub(crate) struct Request {
    /// One per request from outside; the same in every service it reaches.
    pub(crate) request_id: String,
    /// Joins several requests of one story; the caller's, or else the request id.
    pub(crate) correlation_id: String,
    /// Who it is done for, known once the caller is.
    pub(crate) user_id: OnceLock<String>,
    pub(crate) origin: Origin,
}

/// Where a request came from: for the log line of a panic.
pub(crate) struct Origin {
    pub(crate) method: Cow<'static, str>,
    /// The matched route, gRPC method, or name of the work.
    pub(crate) route: Arc<str>,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) user_agent: Option<HeaderValue>,
}

impl Default for Origin {
    fn default() -> Self {
        Self { method: "".into(), route: "".into(), client_ip: None, user_agent: None }
    }
}

/// The context to hand to another thread or task by hand; see [`spawn`] first.
pub fn current() -> Context {
    Context::current()
}

/// The id of the current request, as the client sees it.
pub fn request_id() -> Option<String> {
    with_request(|request| request.request_id.clone())
}

/// The id that joins this request with others of the same story.
pub fn correlation_id() -> Option<String> {
    with_request(|request| request.correlation_id.clone())
}

/// The person the current work is done for, once [`set_user`] was called.
pub fn user_id() -> Option<String> {
    with_request(|request| request.user_id.get().cloned()).flatten()
}

/// The address that the current request came from, as far as proxies are believed.
pub fn client_ip() -> Option<IpAddr> {
    with_request(|request| request.origin.client_ip).flatten()
}

/// Sets the person the current request is for. The first call counts.
pub fn set_user(id: impl Display) {
    with_request(|request| {
        let _ = request.user_id.set(id.to_string());
    });
}

/// The current trace, as 32 hexadecimal digits.
pub fn trace_id() -> Option<String> {
    Context::map_current(|cx| {
        let span = cx.span();
        let span = span.span_context();
        span.is_valid().then(|| span.trace_id().to_string())
    })
}

/// Runs a future in the context of this call, wherever it is polled.
pub fn in_context<F: Future>(future: F) -> WithContext<F> {
    future.with_current_context()
}

/// `tokio::spawn` that keeps the context.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(in_context(future))
}

/// `spawn_blocking` on this runtime's threads, that keeps the context.
pub fn spawn_blocking<F, T>(on: &Handle, work: F) -> JoinHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let context = Context::current();
    on.spawn_blocking(move || {
        let _active = context.attach();
        work()
    })
}

/// Runs a future in a child span of the current one.
pub async fn span<F: Future>(
    name: impl Into<Cow<'static, str>>,
    kind: SpanKind,
    future: F,
) -> F::Output {
    let context = start(SpanBuilder::from_name(name).with_kind(kind), &Context::current());
    let output = future.with_context(context.clone()).await;
    // Now, not when the last clone goes: a task begun inside may outlive it.
    context.span().end();
    output
}

/// Adds an attribute to the current span.
pub fn set_attribute(key: &'static str, value: impl Into<Value>) {
    Context::map_current(|cx| cx.span().set_attribute(KeyValue::new(key, value)));
}

/// Marks the current span as failed.
pub fn mark_failed(description: impl Into<Cow<'static, str>>) {
    Context::map_current(|cx| cx.span().set_status(Status::error(description)));
}

pub(crate) fn with_request<T>(read: impl FnOnce(&Request) -> T) -> Option<T> {
    Context::map_current(|cx| cx.get::<Arc<Request>>().map(|request| read(request)))
}

/// `parent` with a new span in it, and everything else of it.
pub(crate) fn start(builder: SpanBuilder, parent: &Context) -> Context {
    parent.with_span(tracer().build_with_context(builder, parent))
}

/// A request id of our own: time-ordered, so that logs sort by it.
#[expect(clippy::disallowed_methods, reason = "names a log line, decides nothing")]
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

pub(crate) fn install_tracer(tracer: SdkTracer) {
    let _ = TRACER.set(tracer);
}

/// Before (and without) `init` spans have ids and are recorded nowhere.
fn tracer() -> &'static SdkTracer {
    static NOWHERE: LazyLock<SdkTracer> = LazyLock::new(|| {
        SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build().tracer("nowhere")
    });
    TRACER.get().unwrap_or_else(|| &NOWHERE)
}
