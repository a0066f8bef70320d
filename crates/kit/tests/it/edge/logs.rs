//! Details that clients must not see are in the log.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use observability::{Config, Sinks, init_with};
use serde_json::Value;

use super::wire::{exchange, get, request};
use super::world::World;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Returns the lines that contain `text`.
    fn lines(&self, text: &str) -> Vec<Value> {
        let bytes = self.0.lock().unwrap();
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let lines = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
        lines.filter(|line| line.to_string().contains(text)).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_logged_once_with_its_sources_and_its_request() {
    let log = Log::default();
    let sinks = Sinks { log: Some(Box::new(log.clone())), ..Sinks::default() };
    let telemetry = init_with("points", "0", &Config::default(), sinks).unwrap();
    let world = World::start().await;

    let broken = get(world.at.http, "/broken").await;
    assert_eq!(broken.verdict(), "500 internal_error");
    let forged = request("GET /panic", &["X-Forwarded-For: 1.2.3.4"], b"");
    let panicked = exchange(world.at.http, &forged).await;
    assert_eq!(panicked.verdict(), "500 internal_error");
    // Resolving the first stack may take longer on a busy machine than the end of telemetry waits.
    testkit::eventually(Duration::from_secs(60), || async {
        (!log.lines("a secret reason").is_empty()).then_some(())
    })
    .await;
    drop(telemetry);

    let lines = log.lines("the disk is full");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["error"], "cannot keep the file: the disk is full");
    assert_eq!(lines[0]["request_id"], broken.json()["request_id"]);

    let lines = log.lines("a secret reason");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["request_id"], panicked.json()["request_id"]);
    assert_eq!(lines[0]["client_ip"], "127.0.0.1");
    assert!(log.lines("1.2.3.4").is_empty());
}
