//! A closed loop of HTTP/1.1 clients that cost next to nothing: they share the machine with the server.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::fill::{MERCHANTS, STAFF, id};
use crate::server::Server;

#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// A time is booked.
    Book,
    /// A service is held, with everything that is looked at for it.
    Hold,
    /// Two weeks of 20 people.
    Slots,
}

/// What a run took.
#[derive(Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    /// Answered with neither success nor `slot_taken`.
    pub(crate) failed: usize,
}

impl Figures {
    /// From the time that each request took, in milliseconds.
    pub(crate) fn of(mut took: Vec<f64>, failed: usize, each: Duration) -> anyhow::Result<Self> {
        ensure!(!took.is_empty(), "nothing was answered");
        took.sort_unstable_by(f64::total_cmp);
        let at = |share: usize| took[(took.len() - 1) * share / 100];
        #[expect(clippy::cast_precision_loss, reason = "some thousands")]
        let per_second = took.len() as f64 / each.as_secs_f64();
        Ok(Self { per_second, p50: at(50), p99: at(99), failed })
    }
}

pub(crate) async fn run(
    server: &Server,
    work: Work,
    clients: usize,
    each: Duration,
) -> anyhow::Result<Figures> {
    let end = Instant::now() + each;
    let clients: Vec<_> =
        (0..clients).map(|_| tokio::spawn(client(server.clone(), work, end))).collect();
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for client in clients {
        let (took, wrong) = client.await??;
        latencies.extend(took);
        failed += wrong;
    }
    Figures::of(latencies, failed, each)
}

async fn client(server: Server, work: Work, end: Instant) -> anyhow::Result<(Vec<f64>, usize)> {
    let mut socket = TcpStream::connect(server.http).await?;
    socket.set_nodelay(true)?;
    let (mut dice, token) = (Dice::new(), server.member());
    let (mut latencies, mut failed) = (Vec::new(), 0);
    let mut buffer = vec![0; 4 << 20];
    while Instant::now() < end {
        let request = request(&token, work, &mut dice);
        let begun = Instant::now();
        socket.write_all(request.as_bytes()).await?;
        let status = answered(&mut socket, &mut buffer).await?;
        latencies.push(begun.elapsed().as_secs_f64() * 1e3);
        failed += usize::from(![200, 201, 409].contains(&status));
    }
    Ok((latencies, failed))
}

fn request(token: &str, work: Work, dice: &mut Dice) -> String {
    let staff = dice.roll(MERCHANTS * STAFF);
    let merchant = staff / STAFF;
    let (merchant_id, staff_id, service_id) = (id(1, merchant), id(3, staff), id(2, merchant));
    let head = format!(
        "Host: bench\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n",
        token
    );
    let today = DateTime::<Utc>::from(SystemTime::now()).date_naive();
    match work {
        Work::Slots => {
            let from = today + Days::new(1 + u64::try_from(dice.roll(40)).unwrap_or(0));
            let to = from + Days::new(14);
            format!(
                "GET /v1/merchants/{merchant_id}/slots?service_id={service_id}&from={from}&to={to} \
                 HTTP/1.1\r\n{head}\r\n"
            )
        }
        Work::Book => {
            let start =
                midnight(today + Days::new(62)) + TimeDelta::minutes(15 * dice.minutes(32_000));
            let body = format!(
                r#"{{"merchant_id":"{merchant_id}","staff_id":"{staff_id}","starts_at":"{}","ends_at":"{}"}}"#,
                start.format("%FT%TZ"),
                (start + TimeDelta::minutes(30)).format("%FT%TZ"),
            );
            post("/v1/bookings", &head, dice, &body)
        }
        Work::Hold => {
            let day = today + Days::new(62 + u64::try_from(dice.roll(330)).unwrap_or(0));
            let minute = 9 * 60 + 15 * dice.minutes(30);
            let start = format!("{day}T{:02}:{:02}", minute / 60, minute % 60);
            let body = format!(
                r#"{{"merchant_id":"{merchant_id}","staff_id":"{staff_id}","service_id":"{service_id}","starts_at":"{start}"}}"#
            );
            post("/v1/holds", &head, dice, &body)
        }
    }
}

fn post(path: &str, head: &str, dice: &mut Dice, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\n{head}Idempotency-Key: {:032x}\r\nContent-Length: {}\r\n\r\n{body}",
        dice.next(),
        body.len()
    )
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_hms_opt(0, 0, 0).map(|time| time.and_utc()).unwrap_or_default()
}

/// Reads one answer, whole: its status.
async fn answered(socket: &mut TcpStream, buffer: &mut [u8]) -> anyhow::Result<u16> {
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
        while filled < head + 4 + length {
            let read = socket.read(&mut buffer[filled..]).await?;
            ensure!(read > 0, "the service hung up");
            filled += read;
        }
        return Ok(head_text.split(' ').nth(1).context("no status")?.parse()?);
    }
}

/// Xorshift, from a seed of its own.
struct Dice(u128);

impl Dice {
    fn new() -> Self {
        let seed = |n: u64| u128::from(RandomState::new().hash_one(n));
        Self(seed(1) << 64 | seed(2) | 1)
    }

    fn next(&mut self) -> u128 {
        self.0 ^= self.0 << 23;
        self.0 ^= self.0 >> 53;
        self.0 ^= self.0 << 19;
        self.0
    }

    fn roll(&mut self, sides: u128) -> u128 {
        (self.next() >> 16) % sides
    }

    fn minutes(&mut self, sides: u128) -> i64 {
        i64::try_from(self.roll(sides)).unwrap_or(0)
    }
}
