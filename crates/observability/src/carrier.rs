//! Serialization of the context: into HTTP headers, gRPC metadata, or an event's row.

mod headers;

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use opentelemetry::Context;
use opentelemetry::context::FutureExt;
use opentelemetry::propagation::{
    Extractor, Injector, TextMapCompositePropagator, TextMapPropagator,
};
use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};
use serde::{Deserialize, Serialize};

use crate::context::{self, Origin, Request};
pub(crate) use headers::{REQUEST_ID, accept, inject};

/// A serialized context, such as in an event's row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carrier {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub traceparent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tracestate: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub baggage: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub correlation_id: String,
}

impl Carrier {
    /// Serializes the current context.
    pub fn current() -> Self {
        let mut carrier = Self::default();
        PROPAGATOR.inject(&mut carrier);
        context::with_request(|request| {
            carrier.request_id.clone_from(&request.request_id);
            carrier.correlation_id.clone_from(&request.correlation_id);
        });
        carrier
    }

    /// Runs a future in the serialized context, in a new child span. An empty carrier begins a new trace and
    /// a new request, as jobs need.
    pub async fn scope<F: Future>(
        &self,
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        future: F,
    ) -> F::Output {
        let name = name.into();
        let request_id = Some(&self.request_id).filter(|id| is_sane(id));
        let request_id = request_id.cloned().unwrap_or_else(context::new_id);
        let correlation_id = Some(&self.correlation_id).filter(|id| is_sane(id));
        let request = Request {
            correlation_id: correlation_id.unwrap_or(&request_id).clone(),
            request_id,
            origin: Origin { route: (&*name).into(), ..Origin::default() },
            ..Request::default()
        };
        let parent = extract(self).with_value(Arc::new(request));
        let context = context::start(SpanBuilder::from_name(name).with_kind(kind), &parent);
        let output = future.with_context(context.clone()).await;
        context.span().end();
        output
    }
}

/// Returns true when an id from outside may be adopted: short, and harmless when printed.
pub(crate) fn is_sane(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// The propagator of W3C trace context and baggage.
pub(crate) static PROPAGATOR: LazyLock<TextMapCompositePropagator> = LazyLock::new(propagator);

pub(crate) fn propagator() -> TextMapCompositePropagator {
    TextMapCompositePropagator::new(vec![
        Box::new(TraceContextPropagator::new()),
        Box::new(BaggagePropagator::new()),
    ])
}

/// Extracts the caller's trace and baggage, independently of the current context.
pub(crate) fn extract(from: &dyn Extractor) -> Context {
    PROPAGATOR.extract_with_context(&Context::new(), from)
}

impl Injector for Carrier {
    fn set(&mut self, key: &str, value: String) {
        match key {
            "traceparent" => self.traceparent = value,
            "tracestate" => self.tracestate = value,
            "baggage" => self.baggage = value,
            _ => {}
        }
    }
}

impl Extractor for Carrier {
    fn get(&self, key: &str) -> Option<&str> {
        let value = match key {
            "traceparent" => &self.traceparent,
            "tracestate" => &self.tracestate,
            "baggage" => &self.baggage,
            _ => return None,
        };
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    fn keys(&self) -> Vec<&str> {
        vec!["traceparent", "tracestate", "baggage"]
    }
}
