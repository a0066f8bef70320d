//! A closed loop of HTTP/1.1 clients that cost next to nothing: they share the machine with the server.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use kit::Clock;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::service::{self, Service};

#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Earnings of all accounts.
    Everybody,
    /// Earnings of one account.
    One,
    /// Reads of a few balances.
    Balance,
}

#[derive(Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Answered with anything but success.
    pub(crate) failed: usize,
}

pub(crate) async fn run(
    service: &Service,
    target: Target,
    connections: usize,
    each: Duration,
) -> anyhow::Result<Figures> {
    let end = Instant::now() + each;
    let clients: Vec<_> =
        (0..connections).map(|n| tokio::spawn(client(service.clone(), target, n, end))).collect();
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for client in clients {
        let (took, wrong) = client.await??;
        latencies.extend(took);
        failed += wrong;
    }
    ensure!(!latencies.is_empty(), "nothing was answered");
    latencies.sort_unstable();
    let at = |share: usize| latencies[(latencies.len() - 1) * share / 100].as_secs_f64() * 1e3;
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let per_second = latencies.len() as f64 / each.as_secs_f64();
    Ok(Figures { per_second, p50: at(50), p99: at(99), failed })
}

async fn client(
    service: Service,
    target: Target,
    seed: usize,
    end: Instant,
) -> anyhow::Result<(Vec<Duration>, usize)> {
    let clock = Clock::system();
    let mut socket = TcpStream::connect(service.http).await?;
    socket.set_nodelay(true)?;
    let mut random = (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (mut latencies, mut failed) = (Vec::new(), 0);
    let mut buffer = vec![0; 8 * 1024];
    let body =
        r#"{"points":1,"merchant_id":"00000000-0000-0000-0000-000000000000","reference":"bench"}"#;
    while Instant::now() < end {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let account = service::account(match target {
            Target::Everybody => random % service::ACCOUNTS,
            Target::One => 0,
            Target::Balance => random % 100,
        });
        let token = &service.operator;
        let request = match target {
            Target::Balance => format!(
                "GET /v1/accounts/{account} HTTP/1.1\r\nhost: points\r\nauthorization: Bearer {token}\r\n\r\n"
            ),
            Target::Everybody | Target::One => format!(
                "POST /v1/accounts/{account}/earnings HTTP/1.1\r\nhost: points\r\nauthorization: Bearer \
                 {token}\r\nidempotency-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                clock.id(),
                body.len()
            ),
        };
        let begun = Instant::now();
        socket.write_all(request.as_bytes()).await?;
        let good = answered(&mut socket, &mut buffer).await?;
        latencies.push(begun.elapsed());
        failed += usize::from(!good);
    }
    Ok((latencies, failed))
}

/// Reads one answer, whole. True for a 2xx.
async fn answered(socket: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<bool> {
    let mut filled = 0;
    loop {
        let read = socket.read(&mut buffer[filled..]).await?;
        ensure!(read > 0, "the service hung up");
        filled += read;
        let text = &buffer[..filled];
        let Some(head) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head_text = std::str::from_utf8(&text[..head])?.to_ascii_lowercase();
        let length =
            head_text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let length: usize = length.context("no content-length")?.parse()?;
        if filled >= head + 4 + length {
            return Ok(head_text.starts_with("http/1.1 2"));
        }
    }
}
