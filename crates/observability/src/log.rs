//! The log: one line per event, with the ids of its context.

mod escape;
mod fields;
mod queue;

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::{self, Layer};

use crate::config::LogFormat;
use crate::context::Request;
use fields::Fields;
pub(crate) use queue::Queue;

thread_local! {
    /// Lines are built in place, so that a line needs no allocation.
    static BUFFER: Cell<String> = const { Cell::new(String::new()) };
}

/// Formats events as lines. The ids come from the context alone; walking the list of spans makes the usual
/// JSON formatter slow.
pub(crate) struct Lines {
    pub(crate) service: &'static str,
    pub(crate) format: LogFormat,
    pub(crate) queue: Arc<Queue>,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
        // Taken instead of borrowed: formatting a field may itself log.
        let mut line = BUFFER.try_with(Cell::take).unwrap_or_default();
        line.clear();
        match self.format {
            LogFormat::Json => self.json(event, &mut line),
            LogFormat::Pretty => pretty(event, &mut line),
        }
        self.queue.push(*event.metadata().level(), line.as_bytes());
        let _ = BUFFER.try_with(|buffer| buffer.set(line));
    }
}

impl Lines {
    fn json(&self, event: &Event<'_>, line: &mut String) {
        line.push_str("{\"timestamp\":\"");
        timestamp(line);
        let (level, target) = (event.metadata().level(), event.metadata().target());
        // Writing to a String cannot fail, here and below.
        let _ = write!(line, "\",\"level\":\"{level}\",\"service\":\"{}\"", self.service);
        let _ = write!(line, ",\"target\":\"{target}\"");
        let mut fields = Fields::new(line, LogFormat::Json);
        event.record(&mut fields);
        ids(&mut fields);
        line.push_str("}\n");
    }
}

fn pretty(event: &Event<'_>, line: &mut String) {
    timestamp(line);
    let (level, target) = (event.metadata().level(), event.metadata().target());
    let _ = write!(line, " {level:>5} {target}:");
    let mut fields = Fields::new(line, LogFormat::Pretty);
    event.record(&mut fields);
    ids(&mut fields);
    line.push('\n');
}

fn timestamp(line: &mut String) {
    let _ = SystemTime.format_time(&mut Writer::new(line));
}

/// Writes the ids of the current context, except those that the event has itself.
fn ids(fields: &mut Fields<'_>) {
    Context::map_current(|cx| {
        if let Some(request) = cx.get::<Arc<Request>>() {
            fields.id("request_id", &request.request_id);
            fields.id("correlation_id", &request.correlation_id);
            if let Some(user) = request.user_id.get() {
                fields.id("user_id", user);
            }
        }
        let span = cx.span();
        let span = span.span_context();
        if span.is_valid() {
            fields.id("trace_id", span.trace_id());
            fields.id("span_id", span.span_id());
        }
    });
}

/// Returns a level's lower-case name, for a metric's label.
fn name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}
