//! A closed loop of HTTP/1.1 clients that cost next to nothing: they share the machine with the server.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::Greeting;
use crate::service;

#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Earnings of all accounts.
    Everybody,
    /// Earnings of one account.
    One,
    /// Reads of a few balances.
    Balance,
    /// The route that does nothing.
    Nothing,
}

/// What a run took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) requests: usize,
    /// Answered with anything but success.
    pub(crate) failed: usize,
}

impl Figures {
    /// From the time that each request took, in milliseconds.
    pub(crate) fn of(
        mut latencies: Vec<f64>,
        failed: usize,
        took: Duration,
    ) -> anyhow::Result<Self> {
        ensure!(!latencies.is_empty(), "nothing was answered");
        latencies.sort_unstable_by(f64::total_cmp);
        let at = |share: usize| latencies[(latencies.len() - 1) * share / 100];
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let per_second = latencies.len() as f64 / took.as_secs_f64();
        Ok(Self { per_second, p50: at(50), p99: at(99), requests: latencies.len(), failed })
    }
}

pub(crate) async fn run(
    server: &Greeting,
    target: Target,
    connections: usize,
    each: Duration,
) -> anyhow::Result<Figures> {
    let end = Instant::now() + each;
    let clients: Vec<_> =
        (0..connections).map(|_| tokio::spawn(client(server.clone(), target, end))).collect();
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for client in clients {
        let (took, wrong) = client.await??;
        latencies.extend(took);
        failed += wrong;
    }
    Figures::of(latencies, failed, each)
}

async fn client(
    server: Greeting,
    target: Target,
    end: Instant,
) -> anyhow::Result<(Vec<f64>, usize)> {
    let mut socket = TcpStream::connect(server.http).await?;
    socket.set_nodelay(true)?;
    let mut requests = Requests::new(target, &server.operator);
    let (mut latencies, mut failed) = (Vec::new(), 0);
    let mut buffer = vec![0; 8 * 1024];
    loop {
        let request = requests.next();
        let begun = Instant::now();
        if begun >= end {
            return Ok((latencies, failed));
        }
        socket.write_all(request.as_bytes()).await?;
        let good = answered(&mut socket, &mut buffer).await?;
        latencies.push(begun.elapsed().as_secs_f64() * 1e3);
        failed += usize::from(!good);
    }
}

/// The requests of one client.
struct Requests<'a> {
    target: Target,
    operator: &'a str,
    random: u64,
}

const BODY: &str =
    r#"{"points":1,"merchant_id":"00000000-0000-0000-0000-000000000000","reference":"bench"}"#;

impl<'a> Requests<'a> {
    fn new(target: Target, operator: &'a str) -> Self {
        // Other keys in every run: a repeated one would be answered without any work.
        let random = RandomState::new().hash_one(0) | 1;
        Self { target, operator, random }
    }

    /// xorshift64
    fn random(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    fn next(&mut self) -> String {
        let operator = self.operator;
        match self.target {
            Target::Nothing => "GET /v1/nothing HTTP/1.1\r\nhost: points\r\n\r\n".to_owned(),
            Target::Balance => {
                let account = service::account(self.random() % 100);
                format!(
                    "GET /v1/accounts/{account} HTTP/1.1\r\nhost: points\r\n\
                     authorization: Bearer {operator}\r\n\r\n"
                )
            }
            Target::Everybody => {
                let account = self.random() % service::ACCOUNTS;
                self.earn(account)
            }
            Target::One => self.earn(0),
        }
    }

    fn earn(&mut self, account: u64) -> String {
        // As random as pgbench's, so that the index has as much to do.
        let key = (self.random(), self.random());
        format!(
            "POST /v1/accounts/{}/earnings HTTP/1.1\r\nhost: points\r\n\
             authorization: Bearer {}\r\nidempotency-key: {:016x}-{:016x}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{BODY}",
            service::account(account),
            self.operator,
            key.0,
            key.1,
            BODY.len()
        )
    }
}

/// Reads one answer, whole. True for a 2xx.
async fn answered(socket: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<bool> {
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
        let digits = text[length.context("no content-length")? + LENGTH.len()..].iter();
        let digits = digits.take_while(|byte| byte.is_ascii_digit());
        let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
        if filled >= head + 4 + length {
            return Ok(text.starts_with(b"HTTP/1.1 2"));
        }
    }
}
