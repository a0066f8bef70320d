//! The telemetry of a test, recorded.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use observability::{Config, Guard, Sinks};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use tokio::runtime::Runtime;

/// Records log and spans from its start to its end.
pub struct Recording {
    log: Log,
    spans: InMemorySpanExporter,
    guard: Guard,
    threads: Runtime,
}

pub struct Recorded {
    pub log: String,
    pub spans: Vec<SpanData>,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Recording {
    pub fn start(log_level: &str) -> Self {
        let (log, spans) = (Log::default(), InMemorySpanExporter::default());
        let sinks = Sinks { log: Some(Box::new(log.clone())), spans: Some(spans.clone()) };
        let config = Config { log_level: log_level.to_owned(), ..Config::default() };
        // Telemetry needs several threads, and the test has one.
        let threads = Runtime::new().unwrap();
        let entered = threads.enter();
        let guard = observability::init_with("auth", "0", &config, sinks).unwrap();
        drop(entered);
        Self { log, spans, guard, threads }
    }

    pub fn end(self) -> Recorded {
        let spans = self.spans.get_finished_spans().unwrap(); // dropping the guard discards them
        drop(self.guard);
        self.threads.shutdown_background();
        let log = String::from_utf8(self.log.0.lock().unwrap().clone()).unwrap();
        Recorded { log, spans }
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
