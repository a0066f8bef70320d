//! The context of a piece of work: its trace, its request and its user.
//!
//! All of it is one [`opentelemetry::Context`]: the current span (even if it is not sampled), the baggage,
//! and the ids of the request. Log lines, spans and calls to other services take their ids from there. A
//! plain `tokio::spawn` starts without a context; [`spawn`] keeps it.

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

/// The request, event or job that caused the work.
#[derive(Default)]
pub(crate) struct Request {
    /// Unique per request from outside; the same in every service that it reaches.
    pub(crate) request_id: String,
    /// Connects related requests: the caller's id, or else the request id.
    pub(crate) correlation_id: String,
    /// The user for whom the work is done, set once it is known.
    pub(crate) user_id: OnceLock<String>,
    pub(crate) origin: Origin,
}

/// The origin of a request, for the log line of a panic.
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

/// Returns the context, to be attached manually in another thread or task. Prefer [`spawn`].
pub fn current() -> Context {
    Context::current()
}

/// Returns the id of the current request, as the client sees it.
pub fn request_id() -> Option<String> {
    with_request(|request| request.request_id.clone())
}

/// Returns the id that connects this request with related ones.
pub fn correlation_id() -> Option<String> {
    with_request(|request| request.correlation_id.clone())
}

/// Returns the current user, if [`set_user`] was called.
pub fn user_id() -> Option<String> {
    with_request(|request| request.user_id.get().cloned()).flatten()
}

/// Returns the client's address, forwarded by trusted proxies if there are any.
pub fn client_ip() -> Option<IpAddr> {
    with_request(|request| request.origin.client_ip).flatten()
}

/// Sets the user of the current request. Only the first call counts.
pub fn set_user(id: impl Display) {
    with_request(|request| {
        let _ = request.user_id.set(id.to_string());
    });
}

/// Returns the current trace id, as 32 hexadecimal digits.
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

/// Spawns a task that keeps the context.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(in_context(future))
}

/// Spawns blocking work that keeps the context, on the given runtime.
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
    // Ended here, because a task begun inside may hold the context longer.
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

/// Returns `parent` with a new span.
pub(crate) fn start(builder: SpanBuilder, parent: &Context) -> Context {
    parent.with_span(tracer().build_with_context(builder, parent))
}

/// Creates a time-ordered request id, so that logs sort by it.
#[expect(clippy::disallowed_methods, reason = "names a log line, decides nothing")]
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

static TRACER: OnceLock<SdkTracer> = OnceLock::new();

pub(crate) fn install_tracer(tracer: SdkTracer) {
    let _ = TRACER.set(tracer);
}

/// Returns the tracer. Before (and without) `init` its spans have ids but are not recorded.
fn tracer() -> &'static SdkTracer {
    static NOWHERE: LazyLock<SdkTracer> = LazyLock::new(|| {
        SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build().tracer("nowhere")
    });
    TRACER.get().unwrap_or_else(|| &NOWHERE)
}
