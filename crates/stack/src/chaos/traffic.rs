//! The members who go on asking while it burns, whatever the answer.

use std::time::Duration;

use anyhow::{Context, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::Fault;
use super::watch::{Watch, now};

/// Begins, and goes on until what it returns is dropped.
pub(super) async fn start(watch: &Watch, fault: Fault) -> anyhow::Result<AbortOnDropHandle<()>> {
    let (service, path) = match fault {
        Fault::RedisDown | Fault::PostgresSlow | Fault::PointsPanic | Fault::AlertStorm => {
            ("points", "/v1/accounts/me")
        }
        Fault::BookingErrors => ("booking", "/v1/bookings"),
        Fault::LineDown => return Ok(told(Salon::open(watch).await?)),
    };
    let url = format!("http://127.0.0.1:{}{path}", watch.ports.service(service).http);
    let (client, member) = (watch.client.clone(), watch.member.clone());
    Ok(AbortOnDropHandle::new(tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(100));
        loop {
            beat.tick().await;
            let request = client.get(&url).bearer_auth(&member);
            tokio::spawn(async move { request.send().await.map(drop) });
        }
    })))
}

/// Four times a second somebody books and cancels: two messages by LINE.
fn told(salon: Salon) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut beat = tokio::time::interval(Duration::from_millis(250));
        // From tomorrow on, a visit after the other; each is free again when the next one is taken.
        let mut starts_at = now() + TimeDelta::days(1);
        loop {
            beat.tick().await;
            let visit = salon.clone().visit(starts_at);
            tokio::spawn(async move { visit.await.map(drop) });
            starts_at += VISIT;
        }
    }))
}

const VISIT: TimeDelta = TimeDelta::minutes(5);

/// A merchant who tells by LINE, and wants to be told too: of time that they take for themselves.
#[derive(Clone)]
struct Salon {
    client: Client,
    booking: String,
    owner: String,
    merchant_id: String,
    staff_id: String,
}

impl Salon {
    async fn open(watch: &Watch) -> anyhow::Result<Self> {
        let mut salon = Self {
            client: watch.client.clone(),
            booking: format!("http://127.0.0.1:{}", watch.ports.service("booking").http),
            owner: watch.merchant.clone(),
            merchant_id: String::new(),
            staff_id: String::new(),
        };
        // Each drill has its own: a channel sends a member three codes an hour.
        let owner = &watch.merchant;
        let key = || format!("{:032x}", rand::random::<u128>());
        let body = json!({ "name": "A drill's salon", "time_zone": "Asia/Tokyo" });
        let made = salon.post("/v1/merchants", owner, &key(), &body).await?;
        salon.merchant_id = id(&made, "merchant_id")?;
        let path = format!("/v1/merchants/{}", salon.merchant_id);
        let body = json!({ "name": "Yuki" });
        let made = salon.post(&format!("{path}/staff"), owner, &key(), &body).await?;
        salon.staff_id = id(&made, "staff_id")?;
        let channel = json!({ "channel_token": "a-drill" });
        salon.put(&format!("{path}/line"), owner, &channel).await?;
        let contact = json!({ "line_user_id": format!("U{}", "0".repeat(32)) });
        salon.put(&format!("{path}/line/contact"), owner, &contact).await?;
        let stand_in = format!("http://127.0.0.1:{}/taken", watch.ports.line);
        let taken: Value = watch.client.get(&stand_in).send().await?.json().await?;
        let code = taken["last_code"].as_str().context("LINE has not taken the code")?;
        let proof = json!({ "code": code });
        salon.put(&format!("{path}/line/contact/proof"), owner, &proof).await?;
        Ok(salon)
    }

    /// Booked, and cancelled at once.
    async fn visit(self, starts_at: DateTime<Utc>) -> anyhow::Result<()> {
        let body = json!({
            "merchant_id": self.merchant_id,
            "staff_id": self.staff_id,
            "starts_at": starts_at,
            "ends_at": starts_at + VISIT,
        });
        let key = || format!("{:032x}", rand::random::<u128>());
        let booked = self.post("/v1/bookings", &self.owner, &key(), &body).await?;
        let path = format!("/v1/bookings/{}/cancel", id(&booked, "booking_id")?);
        self.post(&path, &self.owner, &key(), &json!({})).await?;
        Ok(())
    }

    async fn post(&self, path: &str, by: &str, key: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.request(Method::POST, path, by).header("idempotency-key", key);
        let reply = request.json(body).send().await?;
        ensure!(reply.status().is_success(), "booking answered {} to {path}", reply.status());
        Ok(reply.json().await?)
    }

    async fn put(&self, path: &str, by: &str, body: &Value) -> anyhow::Result<()> {
        let reply = self.request(Method::PUT, path, by).json(body).send().await?;
        ensure!(reply.status().is_success(), "booking answered {} to {path}", reply.status());
        Ok(())
    }

    fn request(&self, method: Method, path: &str, by: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.booking)).bearer_auth(by)
    }
}

fn id(made: &Value, field: &str) -> anyhow::Result<String> {
    Ok(made[field].as_str().with_context(|| format!("no {field}"))?.to_owned())
}
