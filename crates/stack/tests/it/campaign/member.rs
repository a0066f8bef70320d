//! What one member does, and does again until the answer is clear.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};

/// What happened, as the members saw it.
const DEEDS: [&str; 7] = ["held", "lost", "confirmed", "paid", "pending", "moved", "cancelled"];

/// Where they all go.
pub struct Salon {
    client: Client,
    booking: String,
    pub member: String,
    pub merchant: String,
    merchant_id: String,
    service_id: String,
    staff: Vec<String>,
    keys: AtomicU64,
    tally: [AtomicU64; DEEDS.len()],
}

impl Salon {
    pub fn new(booking: String, member: String, merchant: String) -> Self {
        let client = Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        let none = String::new;
        Self {
            client,
            booking,
            member,
            merchant,
            merchant_id: none(),
            service_id: none(),
            staff: Vec::new(),
            keys: AtomicU64::new(0),
            tally: Default::default(),
        }
    }

    /// Two people who give one service, day and night.
    pub async fn open(&mut self) {
        let base = format!("{}/v1/merchants", self.booking);
        let body = json!({"name": "Salon", "time_zone": "UTC"});
        let merchant = self.post_as(&self.merchant, &base, &body).await;
        let merchant = merchant["merchant_id"].as_str().unwrap().to_owned();
        let body = json!({"name": "Cut", "duration_minutes": 60, "price_minor": 5000});
        let service =
            self.post_as(&self.merchant, &format!("{base}/{merchant}/services"), &body).await;
        let service = service["service_id"].as_str().unwrap().to_owned();
        for name in ["Ann", "Bo"] {
            let path = format!("{base}/{merchant}/staff");
            let staff = self.post_as(&self.merchant, &path, &json!({"name": name})).await;
            let staff = staff["staff_id"].as_str().unwrap().to_owned();
            let day = |day| json!({"weekday": day, "opens": "00:00", "closes": "24:00"});
            for (what, body) in [
                ("services", json!({"service_ids": [&service]})),
                ("hours", json!({"hours": (1..=7).map(day).collect::<Vec<_>>()})),
            ] {
                let url = format!("{path}/{staff}/{what}");
                let call = self.client.request(Method::PUT, url).bearer_auth(&self.merchant);
                assert_eq!(call.json(&body).send().await.unwrap().status(), 200);
            }
            self.staff.push(staff);
        }
        (self.merchant_id, self.service_id) = (merchant, service);
    }

    /// A command that must succeed.
    pub async fn post_as(&self, token: &str, url: &str, body: &Value) -> Value {
        let (status, answer) = self.insist(token, url, body).await;
        assert!((200..300).contains(&status), "{url}: {status} {answer}");
        answer
    }

    /// Repeats a command with its key until somebody has said yes or no.
    async fn insist(&self, token: &str, url: &str, body: &Value) -> (u16, Value) {
        let key = format!("campaign-{}", self.keys.fetch_add(1, Ordering::Relaxed));
        loop {
            let call = self.client.post(url).bearer_auth(token).header("idempotency-key", &key);
            if let Ok(answer) = call.json(body).send().await {
                let status = answer.status().as_u16();
                if let Ok(answer) = answer.json::<Value>().await
                    && answer["code"] != "idempotency_in_progress"
                    && ![408, 429, 500, 503].contains(&status)
                {
                    return (status, answer);
                }
                assert_ne!(status, 500, "{url}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await; // a refused connection is no rush
        }
    }

    fn count(&self, deed: &str) {
        let index = DEEDS.iter().position(|known| *known == deed).unwrap();
        self.tally[index].fetch_add(1, Ordering::Relaxed);
    }

    pub fn tally(&self) -> String {
        let counts = self.tally.iter().map(|count| count.load(Ordering::Relaxed));
        let shown = DEEDS.iter().zip(counts).map(|(deed, count)| format!("{count} {deed}"));
        shown.collect::<Vec<_>>().join(", ")
    }

    pub fn did_everything(&self) -> bool {
        let rare = ["pending"]; // needs a kill at the right moment
        DEEDS
            .iter()
            .zip(&self.tally)
            .all(|(deed, count)| rare.contains(deed) || count.load(Ordering::Relaxed) > 5)
    }
}

pub struct Member {
    salon: Arc<Salon>,
    /// Xorshift: what a member does is random, and the same in each run.
    dice: u64,
}

impl Member {
    pub fn new(number: usize, salon: Arc<Salon>) -> Self {
        Self { salon, dice: 0x9E37_79B9_7F4A_7C15 ^ (number as u64 + 1).wrapping_mul(0xBF58_476D) }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    pub async fn act_until(mut self, done: Arc<AtomicBool>) {
        while !done.load(Ordering::Relaxed) {
            self.visit().await;
        }
    }

    async fn visit(&mut self) {
        let start = self.time();
        let staff = usize::try_from(self.roll(2)).unwrap();
        let salon = self.salon.clone();
        let body = json!({"merchant_id": salon.merchant_id, "service_id": salon.service_id,
                          "staff_id": salon.staff[staff], "starts_at": start});
        let Some(held) = self.tell("/v1/holds", body, "held", "lost").await else { return };
        let booking = format!("/v1/bookings/{}", held["booking_id"].as_str().unwrap());
        let on = match self.roll(10) {
            0 => return, // left to expire
            1 => {
                return drop(
                    self.tell(&format!("{booking}/cancel"), json!({}), "cancelled", "lost").await,
                );
            }
            2 | 3 => self.tell(&format!("{booking}/confirm"), json!({}), "confirmed", "lost").await,
            _ => {
                let points = 1 + self.roll(5000);
                let path = format!("{booking}/confirm");
                self.tell(&path, json!({"points": points}), "paid", "lost").await
            }
        };
        if on.is_none() {
            return;
        }
        match self.roll(4) {
            0 => {
                let body = json!({"starts_at": self.time()});
                self.tell(&format!("{booking}/reschedule"), body, "moved", "lost").await;
            }
            1 | 2 => {
                self.tell(&format!("{booking}/cancel"), json!({}), "cancelled", "lost").await;
            }
            _ => {}
        }
    }

    /// One of some thousand hours from next week on: few enough to meet others.
    fn time(&mut self) -> String {
        let hour = self.roll(2400);
        let day = chrono::DateTime::<chrono::Utc>::from(std::time::SystemTime::now()).date_naive()
            + chrono::Days::new(7 + hour / 24);
        format!("{day}T{:02}:00", hour % 24)
    }

    /// The answer when it was a yes.
    async fn tell(&self, path: &str, body: Value, yes: &str, no: &str) -> Option<Value> {
        let url = format!("{}{path}", self.salon.booking);
        let (status, answer) = self.salon.insist(&self.salon.member, &url, &body).await;
        match status {
            200 | 201 => self.salon.count(yes),
            202 => self.salon.count("pending"),
            409 => self.salon.count(no),
            _ => panic!("{path}: {status} {answer}"),
        }
        (status < 300).then_some(answer)
    }
}
