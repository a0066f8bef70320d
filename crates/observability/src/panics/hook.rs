//! The panic hook: one log line with the stack and the request.
//!
//! Rust's own hook resolves and prints the stack in the panicking thread, which blocks a worker for 100 to
//! 500 ms. Here that thread only captures the addresses; another one resolves them.

use std::backtrace::Backtrace;
use std::panic::{self, PanicHookInfo};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use opentelemetry::Context;

use super::{Endpoint, TOTAL};
use crate::alert::Alert;
use crate::context::Request;
use crate::log::Queue;

/// Maximum queued reports; further panics are logged without their stack.
const BACKLOG: usize = 64;
const MAX_FRAMES: usize = 64;

static REPORTER: OnceLock<SyncSender<Message>> = OnceLock::new();

enum Message {
    Panic(Box<Report>),
    Flush(SyncSender<()>),
}

/// The facts captured during a panic.
struct Report {
    message: String,
    location: String,
    thread: String,
    stack: Backtrace,
    context: Context,
}

/// Replaces the process's panic hook permanently.
pub(crate) fn install(log: Arc<Queue>) -> std::io::Result<()> {
    TOTAL.get();
    let (sender, messages) = mpsc::sync_channel(BACKLOG);
    thread::Builder::new().name("panics".to_owned()).spawn(move || {
        for message in messages {
            match message {
                Message::Panic(report) => report.log(&trim(&report.stack.to_string())),
                Message::Flush(done) => drop(done.try_send(())),
            }
        }
    })?;
    let _ = REPORTER.set(sender.clone());
    panic::set_hook(Box::new(move |info| {
        TOTAL.inc();
        let report = Report::new(info);
        if !report.has_endpoint() {
            // Nothing will catch the panic; the process may be about to end.
            report.log(&trim(&report.stack.to_string()));
            log.flush(Instant::now() + Duration::from_secs(1));
        } else if let Err(refused) = sender.try_send(Message::Panic(Box::new(report)))
            && let mpsc::TrySendError::Full(Message::Panic(report))
            | mpsc::TrySendError::Disconnected(Message::Panic(report)) = refused
        {
            report.log("omitted: too many panics at once");
        }
    }));
    Ok(())
}

/// Waits until all panics so far are in the log's queue.
pub(crate) fn flush(patience: Duration) {
    let (done, flushed) = mpsc::sync_channel(1);
    if let Some(reporter) = REPORTER.get()
        && reporter.try_send(Message::Flush(done)).is_ok()
    {
        let _ = flushed.recv_timeout(patience);
    }
}

impl Report {
    fn new(info: &PanicHookInfo<'_>) -> Self {
        Self {
            message: info.payload_as_str().unwrap_or("a value that is not text").to_owned(),
            location: info.location().map(ToString::to_string).unwrap_or_default(),
            thread: thread::current().name().unwrap_or_default().to_owned(),
            stack: Backtrace::force_capture(),
            context: Context::current(),
        }
    }

    fn has_endpoint(&self) -> bool {
        self.context.get::<Arc<Request>>().is_some() || self.context.get::<Endpoint>().is_some()
    }

    fn log(&self, stack: &str) {
        let _active = self.context.clone().attach();
        let origin = self.context.get::<Arc<Request>>().map(|request| &request.origin);
        let user_agent = origin.and_then(|origin| origin.user_agent.as_ref());
        tracing::error!(
            target: "panic",
            panic = self.message,
            location = self.location,
            thread = self.thread,
            endpoint = self.context.get::<Endpoint>().map(|endpoint| &*endpoint.0),
            method = origin.map(|origin| &*origin.method).filter(|method| !method.is_empty()),
            route = origin.map(|origin| &*origin.route),
            client_ip = origin.and_then(|origin| origin.client_ip).map(tracing::field::display),
            user_agent = user_agent.map(|agent| String::from_utf8_lossy(agent.as_bytes())).as_deref(),
            stack,
            "panicked"
        );
        // The panic's message stays in the log: it may contain personal data.
        let route = origin.map(|origin| &*origin.route);
        let endpoint = self.context.get::<Endpoint>().map(|endpoint| &*endpoint.0);
        let request = self.context.get::<Arc<Request>>();
        Alert::critical("Panic", format!("panicked at {}", self.location))
            .path(route.or(endpoint).unwrap_or(&self.thread))
            .stack(stack)
            .with("request_id", request.map_or("", |request| &request.request_id))
            .raise();
    }
}

/// Removes the frames of the panic machinery, and those that are too deep.
fn trim(stack: &str) -> String {
    let lines: Vec<&str> = stack.lines().collect();
    let machinery = ["core::panicking::", "std::panicking::begin_panic", "rust_begin_unwind"];
    let begin = lines
        .iter()
        .rposition(|line| machinery.iter().any(|frame| line.contains(frame)))
        .map_or(0, |frame| frame + 1);
    let is_frame = |line: &str| !line.trim_start().starts_with("at ");
    let begin = begin + lines[begin..].iter().take_while(|line| !is_frame(line)).count();
    let mut frames = 0;
    let kept = lines[begin..].iter().take_while(|line| {
        frames += usize::from(is_frame(line));
        frames <= MAX_FRAMES
    });
    kept.map(|line| line.trim_start()).collect::<Vec<_>>().join("\n")
}
