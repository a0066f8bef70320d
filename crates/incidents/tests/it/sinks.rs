//! Slack, mail and the gateways, as local servers that can fail.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// One HTTP message: its sink, its headers, its body.
#[derive(Clone)]
pub struct Taken {
    pub sink: String,
    pub headers: HeaderMap,
    pub raw: Bytes,
    pub body: Value,
}

/// Slack, the SMS and the ticket gateway in one.
#[derive(Clone)]
pub struct Web {
    pub at: SocketAddr,
    taken: Arc<Mutex<Vec<Taken>>>,
    answer: Arc<AtomicU16>,
}

impl Web {
    pub async fn open() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let web = Self {
            at: socket.local_addr().unwrap(),
            taken: Arc::default(),
            answer: Arc::new(AtomicU16::new(200)),
        };
        let router = Router::new().route("/{sink}", post(take)).with_state(web.clone());
        tokio::spawn(async { axum::serve(socket, router).await });
        web
    }

    /// Sets the status that every sink answers.
    pub fn answer(&self, status: u16) {
        self.answer.store(status, Ordering::Relaxed);
    }

    pub fn taken(&self, sink: &str) -> Vec<Taken> {
        let taken = self.taken.lock().unwrap();
        taken.iter().filter(|taken| taken.sink == sink).cloned().collect()
    }
}

async fn take(
    State(web): State<Web>,
    Path(sink): Path<String>,
    headers: HeaderMap,
    raw: Bytes,
) -> StatusCode {
    let status = StatusCode::from_u16(web.answer.load(Ordering::Relaxed)).unwrap();
    if status.is_success() {
        let body = serde_json::from_slice(&raw).unwrap();
        web.taken.lock().unwrap().push(Taken { sink, headers, raw, body });
    }
    status
}

/// An SMTP server that keeps its mails.
#[derive(Clone)]
pub struct Post {
    pub at: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
    away: Arc<AtomicU16>,
}

impl Post {
    pub async fn open() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let post = Self {
            at: socket.local_addr().unwrap(),
            mails: Arc::default(),
            away: Arc::new(AtomicU16::new(0)),
        };
        let server = post.clone();
        tokio::spawn(async move {
            loop {
                let (client, _) = socket.accept().await.unwrap();
                if server.away.load(Ordering::Relaxed) == 0 {
                    tokio::spawn(server.clone().serve(client));
                }
            }
        });
        post
    }

    /// Makes it close every connection, or no longer.
    pub fn away(&self, away: bool) {
        self.away.store(away.into(), Ordering::Relaxed);
    }

    pub fn mails(&self) -> Vec<String> {
        self.mails.lock().unwrap().clone()
    }

    async fn serve(self, client: TcpStream) -> std::io::Result<()> {
        let (read, mut write) = client.into_split();
        let mut lines = BufReader::new(read).lines();
        write.write_all(b"220 test\r\n").await?;
        while let Some(line) = lines.next_line().await? {
            if self.away.load(Ordering::Relaxed) == 1 {
                return Ok(());
            }
            let answer: &[u8] = match line.split(' ').next().unwrap_or_default() {
                "EHLO" => b"250 test\r\n",
                "DATA" => {
                    write.write_all(b"354 go on\r\n").await?;
                    let mut mail = String::new();
                    while let Some(line) = lines.next_line().await? {
                        if line == "." {
                            break;
                        }
                        mail.push_str(&line);
                        mail.push('\n');
                    }
                    self.mails.lock().unwrap().push(mail);
                    b"250 kept\r\n"
                }
                "QUIT" => return write.write_all(b"221 bye\r\n").await,
                _ => b"250 yes\r\n",
            };
            write.write_all(answer).await?;
        }
        Ok(())
    }
}
