//! HTTP/1.1 by hand, because client libraries refuse to send malformed requests.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{interval, timeout};

/// Longer than any request here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer from the wire.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// Returns a header's value, or the empty string.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Returns status, code and wrong fields, such as `422 invalid_amount amount`.
    pub fn verdict(&self) -> String {
        let body = self.json();
        let mut verdict = format!("{} {}", self.status, body["code"].as_str().unwrap_or("-"));
        for error in body["errors"].as_array().into_iter().flatten() {
            verdict.push(' ');
            verdict.push_str(error["field"].as_str().unwrap_or("?"));
        }
        verdict
    }
}

/// Builds a request from its head (`Host` is added) and its body.
pub fn request(line: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nHost: test\r\n").into_bytes();
    for header in headers {
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if !body.is_empty() && !headers.iter().any(|header| header.starts_with("Transfer-Encoding")) {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

/// One connection.
pub struct Client {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { socket: TcpStream::connect(address).await.unwrap(), read: Vec::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        // The other side may close before it has read everything; its answer is still read.
        let _ = timeout(PATIENCE, self.socket.write_all(bytes)).await.unwrap();
    }

    /// Reads the next answer on this connection.
    pub async fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.parse() {
                return answer;
            }
            let mut buffer = [0; 64 * 1024];
            let count = timeout(PATIENCE, self.socket.read(&mut buffer)).await.unwrap().unwrap();
            assert_ne!(count, 0, "closed after {:?}", String::from_utf8_lossy(&self.read));
            self.read.extend_from_slice(&buffer[..count]);
        }
    }

    /// Reads everything until the other side closes.
    pub async fn until_closed(&mut self) -> String {
        let mut rest = std::mem::take(&mut self.read);
        // A reset ends it too.
        let _ = timeout(PATIENCE, self.socket.read_to_end(&mut rest)).await.unwrap();
        String::from_utf8_lossy(&rest).into_owned()
    }

    /// Returns true when the other side has closed, after reading everything it sent.
    pub fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 1024];
        match self.socket.try_read(&mut buffer) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        }
    }

    /// Waits for the other side to close, by writing only, without reading.
    pub async fn peer_gave_up(&mut self) {
        let mut tick = interval(Duration::from_millis(20));
        let writing = async {
            while self.socket.write_all(b" ").await.is_ok() {
                tick.tick().await;
            }
        };
        timeout(PATIENCE, writing).await.unwrap();
    }

    fn parse(&mut self) -> Option<Answer> {
        let end = self.read.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.map_or(0, |(_, value)| value.parse().unwrap());
        if self.read.len() < end + length {
            return None;
        }
        let body = self.read[end..end + length].to_vec();
        self.read.drain(..end + length);
        Some(Answer { status, headers, body })
    }
}

/// Sends one request on its own connection.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut client = Client::connect(address).await;
    client.send(bytes).await;
    client.answer().await
}

pub async fn get(address: SocketAddr, path: &str) -> Answer {
    exchange(address, &request(&format!("GET {path}"), &[], b"")).await
}
