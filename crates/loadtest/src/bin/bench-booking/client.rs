//! Requests of booking's clients.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use loadtest::closed_loop::{self, Figures};

use crate::fill::{MERCHANTS, STAFF, id};
use crate::server::Server;

#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// A time is booked, by the merchant.
    Book,
    /// A service is held, with everything that is looked at for it.
    Hold,
    /// Two weeks of 20 people.
    Slots,
}

pub(crate) async fn run(
    server: &Server,
    work: Work,
    clients: usize,
    each: Duration,
) -> anyhow::Result<Figures> {
    let owners: Arc<[String]> = (0..MERCHANTS).map(|n| server.token(id(1, n))).collect();
    let requests = || {
        let (mut dice, token, owners) = (Dice::new(), server.member(), owners.clone());
        move || request(&token, &owners, work, &mut dice)
    };
    // `slot_taken` is an answer too.
    closed_loop::run(server.http, clients, each, requests, |s| [200, 201, 409].contains(&s)).await
}

fn request(token: &str, owners: &[String], work: Work, dice: &mut Dice) -> String {
    let staff = dice.roll(MERCHANTS * STAFF);
    let merchant = staff / STAFF;
    let (merchant_id, staff_id, service_id) = (id(1, merchant), id(3, staff), id(2, merchant));
    let owner = usize::try_from(merchant).ok().and_then(|n| owners.get(n)).map_or(token, |t| t);
    let head = format!(
        "Host: bench\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n",
        // Only the merchant books a time for no service.
        if matches!(work, Work::Book) { owner } else { token }
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
