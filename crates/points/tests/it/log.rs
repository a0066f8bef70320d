//! The log of the service, as JSON lines.

use std::io::Write;
use std::sync::{Arc, Mutex};

use observability::{Config, Guard, Sinks};
use serde_json::Value;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

pub struct Log {
    sink: Sink,
    _guard: Guard,
}

/// Starts telemetry, once per process: `cargo nextest` gives each test one.
pub fn start() -> Log {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let sink = Sink::default();
    let sinks = Sinks { log: Some(Box::new(sink.clone())), ..Sinks::default() };
    let guard = observability::init_with("points", "0", &Config::default(), sinks).unwrap();
    drop(_inside);
    std::mem::forget(runtime); // for as long as the process
    Log { sink, _guard: guard }
}

impl Log {
    /// Every whole line so far.
    pub fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.sink.0.lock().unwrap().clone()).unwrap();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
