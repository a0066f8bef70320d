//! The HTTP server layer, and injection for HTTP clients.
//!
//! Ids, trace, metrics, panic recovery and access log are one layer: as the usual eight layers they
//! cost more than half of what a small route can do.

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

/// Makes the answer to a request whose handler panicked, from the request id.
pub type PanicResponse = fn(&str) -> Response;

/// Everything one request needs, for `Router::layer` (where the matched route is known):
///
/// * takes over or makes `x-request-id` and `x-correlation-id`, and answers with the former;
/// * continues the caller's trace and baggage, in a span of its own when that is sampled;
/// * turns a panic into `panic_response`, inside of everything that counts and logs;
/// * counts, measures, and writes one access line.
pub fn layer(panic_response: PanicResponse) -> Layer {
    Layer { panic_response }
}

/// Declares a route, so that its failures are seen by `rate()` from the first one on.
pub fn declare(method: &Method, route: &str) {
    series::declare(method, route);
}

/// Writes the current context into the headers of an outgoing request.
pub fn inject(headers: &mut HeaderMap) {
    carrier::inject(headers);
}

/// The layer that [`layer`] makes.
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

/// An HTTP service with [`Layer`] around it.
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
        // The clone may not be ready; the one that was polled is.
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
