//! HTTP/1.1 on one connection, at next to no cost: it shares the machine with the server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub(crate) struct Connection {
    stream: TcpStream,
    address: SocketAddr,
    buffer: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
    pub(crate) took: Duration,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, address, buffer: vec![0; 16 * 1024] })
    }

    pub(crate) async fn get(&mut self, path: &str, bearer: &str) -> anyhow::Result<Answer> {
        let head = if bearer.is_empty() {
            String::new()
        } else {
            format!("authorization: Bearer {bearer}\r\n")
        };
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: auth\r\n{head}\r\n")).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &str) -> anyhow::Result<Answer> {
        let key = kit::Clock::system().id();
        let length = body.len();
        self.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: auth\r\nuser-agent: bench\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    /// On another connection, when the server has closed this one meanwhile.
    async fn ask(&mut self, request: &str) -> anyhow::Result<Answer> {
        match self.once(request).await {
            Ok(answer) => Ok(answer),
            Err(_) => {
                *self = Self::open(self.address).await?;
                self.once(request).await
            }
        }
    }

    async fn once(&mut self, request: &str) -> anyhow::Result<Answer> {
        let begun = Instant::now();
        self.stream.write_all(request.as_bytes()).await?;
        let mut filled = 0;
        loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                bail!("the server hung up");
            }
            filled += read;
            let text = String::from_utf8_lossy(&self.buffer[..filled]);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() < length.map_or(Ok(0), str::parse)? {
                continue;
            }
            let status = head.split(' ').nth(1).context("a status")?.parse()?;
            return Ok(Answer { status, body: body.to_owned(), took: begun.elapsed() });
        }
    }
}
