//! The HTTP server layer, and context propagation for HTTP clients.
//!
//! Ids, trace, metrics, panic recovery and access log are one layer: as the usual eight layers they would
//! cost more than half of a small route's throughput.

mod body;
mod exchange;
mod series;

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use futures::FutureExt as _;
use http::{HeaderMap, Method};
use opentelemetry::context::FutureExt as _;

use crate::carrier;
use exchange::Exchange;

/// Creates the answer after a panic in a handler, from the request id.
pub type PanicResponse = fn(&str) -> Response;

/// Creates a layer with everything a request needs, for `Router::layer` (where the matched route is known):
///
/// * adopts or creates `x-request-id` and `x-correlation-id`, and answers with the former;
/// * continues the caller's trace and baggage, in its own span when sampled;
/// * turns a panic into `panic_response`, inside of metrics and log;
/// * counts, measures, and writes one access line.
pub fn layer(panic_response: PanicResponse) -> Layer {
    Layer { panic_response }
}

/// Declares a route, so that `rate()` sees its first failure.
pub fn declare(method: &Method, route: &str) {
    series::declare(method, route);
}

/// Injects the current context into the headers of an outgoing request.
pub fn inject(headers: &mut HeaderMap) {
    carrier::inject(headers);
}

/// The layer of [`layer`].
#[derive(Clone)]
pub struct Layer {
    panic_response: PanicResponse,
}

impl<S> tower::Layer<S> for Layer {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observed { inner, panic_response: self.panic_response }
    }
}

/// An HTTP service inside [`Layer`].
#[derive(Clone)]
pub struct Observed<S> {
    inner: S,
    panic_response: PanicResponse,
}

impl<S> tower::Service<Request> for Observed<S>
where
    S: tower::Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The clone may not be ready; the polled service is.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let panic_response = self.panic_response;
        let exchange = Exchange::begin(&request);
        let context = exchange.context();
        let answer = async move {
            let handled = async move { inner.call(request).await };
            let response = match AssertUnwindSafe(handled).catch_unwind().await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(_) => exchange.panicked(panic_response),
            };
            Ok(exchange.end(response))
        };
        Box::pin(answer.with_context(context))
    }
}
