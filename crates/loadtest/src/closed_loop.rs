//! A closed loop of HTTP/1.1 clients that cost next to nothing: they share the machine with the server.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The figures of one run.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    pub per_second: f64,
    /// Milliseconds.
    pub p50: f64,
    /// Milliseconds.
    pub p99: f64,
    pub requests: usize,
    /// Answered otherwise than wanted.
    pub failed: usize,
}

impl Figures {
    /// From the time that each request took, in milliseconds.
    pub fn of(mut latencies: Vec<f64>, failed: usize, took: Duration) -> anyhow::Result<Self> {
        ensure!(!latencies.is_empty(), "nothing was answered");
        latencies.sort_unstable_by(f64::total_cmp);
        let at = |share: usize| latencies[(latencies.len() - 1) * share / 100];
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let per_second = latencies.len() as f64 / took.as_secs_f64();
        Ok(Self { per_second, p50: at(50), p99: at(99), requests: latencies.len(), failed })
    }
}

/// So many clients send what `requests` makes for each of them, one after the other, and expect a `good` status.
pub async fn run<R: FnMut() -> String + Send + 'static>(
    server: SocketAddr,
    clients: usize,
    each: Duration,
    requests: impl Fn() -> R,
    good: fn(u16) -> bool,
) -> anyhow::Result<Figures> {
    let end = Instant::now() + each;
    let clients: Vec<_> =
        (0..clients).map(|_| tokio::spawn(client(server, requests(), good, end))).collect();
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for client in clients {
        let (took, wrong) = client.await??;
        latencies.extend(took);
        failed += wrong;
    }
    Figures::of(latencies, failed, each)
}

async fn client(
    server: SocketAddr,
    mut next: impl FnMut() -> String,
    good: fn(u16) -> bool,
    end: Instant,
) -> anyhow::Result<(Vec<f64>, usize)> {
    let mut socket = TcpStream::connect(server).await?;
    socket.set_nodelay(true)?;
    let (mut latencies, mut failed) = (Vec::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let request = next();
        let begun = Instant::now();
        if begun >= end {
            return Ok((latencies, failed));
        }
        socket.write_all(request.as_bytes()).await?;
        let status = answered(&mut socket, &mut buffer).await?;
        latencies.push(begun.elapsed().as_secs_f64() * 1e3);
        failed += usize::from(!good(status));
    }
}

/// Reads one answer, whole: its status.
async fn answered(socket: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<u16> {
    const LENGTH: &[u8] = b"content-length: ";
    let mut filled = 0;
    loop {
        let read = socket.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the service hung up");
        filled += read;
        let text = &buffer[..filled];
        let Some(head) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        // Written in lower case by hyper, which all of our servers are.
        let length = text[..head].windows(LENGTH.len()).position(|word| word == LENGTH);
        let length = number(&text[length.context("no content-length")? + LENGTH.len()..]);
        if filled >= head + 4 + length {
            let status = text.strip_prefix(b"HTTP/1.1 ").context("no status")?;
            return Ok(u16::try_from(number(status))?);
        }
    }
}

fn number(text: &[u8]) -> usize {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
