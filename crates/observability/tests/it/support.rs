//! In-memory telemetry, servers on loopback, and helpers.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use observability::{Config, Guard, Sinks};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SpanData};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The log and the spans of a process.
pub struct Telemetry {
    pub log: Log,
    spans: InMemorySpanExporter,
    _guard: Guard,
}

pub fn telemetry() -> Telemetry {
    telemetry_with(Config::default())
}

pub fn telemetry_with(config: Config) -> Telemetry {
    let (log, spans) = (Log::default(), InMemorySpanExporter::default());
    let sinks = Sinks { log: Some(Box::new(log.clone())), spans: Some(spans.clone()) };
    let guard = observability::init_with("points", "0.1.0", &config, sinks).unwrap();
    Telemetry { log, spans, _guard: guard }
}

impl Telemetry {
    /// Waits for spans to end.
    pub async fn spans(&self, count: usize) -> Vec<SpanData> {
        eventually(|| {
            let spans = self.spans.get_finished_spans().unwrap();
            (spans.len() >= count).then_some(spans)
        })
        .await
    }
}

#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Returns every line so far; each must be one JSON object.
    pub fn lines(&self) -> Vec<Value> {
        let text = self.text();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let parse =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        whole.split('\n').filter(|line| !line.is_empty()).map(parse).collect()
    }

    /// Waits for a line with this message.
    pub async fn line(&self, message: &str) -> Value {
        eventually(|| self.lines().into_iter().find(|line| line["message"] == message)).await
    }
}

/// Polls until there is an answer, for at most 5 s.
pub async fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it did not happen within 5 s");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns the value of a series in `/metrics`, by its name and labels as printed.
pub fn metric(series: &str) -> Option<f64> {
    let line = metrics().lines().find(|line| line.starts_with(&format!("{series} ")))?.to_owned();
    line.rsplit(' ').next()?.parse().ok()
}

pub fn metrics() -> String {
    String::from_utf8(observability::metrics::render().1).unwrap()
}

/// Serves a router as `kit` does, on a real socket.
pub async fn serve(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = routes.layer(observability::http::layer(apology));
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    address
}

fn apology(request_id: &str) -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, format!("sorry {request_id}")).into_response()
}

/// A keep-alive connection.
pub struct Client(TcpStream);

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let value = |line: &'_ str| -> Option<usize> {
            let (key, _) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(key.len() + 2)
        };
        self.head.lines().find_map(|line| value(line).map(|start| &line[start..]))
    }
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self(TcpStream::connect(address).await.unwrap())
    }

    pub async fn get(&mut self, target: &str, headers: &str) -> Answer {
        self.send("GET", target, headers).await
    }

    pub async fn send(&mut self, method: &str, target: &str, headers: &str) -> Answer {
        let request = format!("{method} {target} HTTP/1.1\r\nhost: test\r\n{headers}\r\n");
        self.0.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        answer.body = String::from_utf8(body).unwrap();
        answer
    }
}
