//! The context in HTTP headers and gRPC metadata, which have the same form.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

use super::{PROPAGATOR, extract, is_sane};
use crate::context::{self, Origin, Request};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// Returns the context of a request from outside, and its id for the answer.
pub(crate) fn accept(headers: &HeaderMap, origin: Origin) -> (Context, HeaderValue) {
    let request_id = id(headers, &REQUEST_ID).unwrap_or_else(context::new_id);
    let correlation_id = id(headers, &CORRELATION_ID).unwrap_or_else(|| request_id.clone());
    let echo = HeaderValue::from_str(&request_id).unwrap_or(HeaderValue::from_static(""));
    let request = Request { request_id, correlation_id, origin, ..Request::default() };
    // Most requests from browsers have neither.
    let is_traced = headers.contains_key("traceparent") || headers.contains_key("baggage");
    let parent = if is_traced { extract(&Read(headers)) } else { Context::new() };
    (parent.with_value(Arc::new(request)), echo)
}

/// Injects the current context into the headers of a call.
pub(crate) fn inject(headers: &mut HeaderMap) {
    PROPAGATOR.inject(&mut Write(headers));
    context::with_request(|request| {
        let mut headers = Write(headers);
        headers.set(REQUEST_ID.as_str(), request.request_id.clone());
        headers.set(CORRELATION_ID.as_str(), request.correlation_id.clone());
    });
}

/// Returns an id from outside, if it may be adopted.
fn id(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let id = headers.get(name)?.to_str().ok()?;
    is_sane(id).then(|| id.to_owned())
}

struct Read<'a>(&'a HeaderMap);

impl Extractor for Read<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Write<'a>(&'a mut HeaderMap);

impl Injector for Write<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty header is left out (most traces have no state).
        if !value.is_empty()
            && let Ok(name) = HeaderName::try_from(key)
            && let Ok(value) = HeaderValue::try_from(value)
        {
            self.0.insert(name, value);
        }
    }
}
