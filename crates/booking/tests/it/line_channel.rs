//! A merchant's channel at a stand-in for LINE.

use booking::peers::{Line, Pace};
use fakeline::{FakeLine, Serving};
use kit::redis::Redis;
use serde_json::{Value, json};
use testkit::http::Call;
use uuid::Uuid;

use crate::app::{App, Shop};

pub struct Channel {
    pub line: FakeLine,
    client: Line,
    pace: Pace,
    _serving: Serving,
}

impl Channel {
    pub async fn new() -> Self {
        let line = FakeLine::default();
        let serving = line.listen().await;
        let client = Line::new(&serving.url).unwrap();
        Self { line, client, pace: Pace::new(Redis::disabled(), 2000), _serving: serving }
    }

    /// The merchant brings its token.
    pub async fn connect(&self, app: &App, shop: &Shop, token: &str) {
        let path = format!("/v1/merchants/{}/line", shop.merchant);
        let body = json!({ "channel_token": token });
        app.put(shop.owner, &path, body).send().await.expect(204);
    }

    /// A member follows the merchant, and has proven it. What was sent for that is forgotten.
    pub async fn join(&self, app: &App, shop: &Shop, who: Uuid) {
        self.ask(app, shop, who, &user(2)).send().await.expect(202);
        let code = self.line.last_code().unwrap();
        self.prove(app, shop, who, &code).send().await.expect(204);
        self.line.forget();
    }

    /// A member says who they are at LINE.
    pub fn ask(&self, app: &App, shop: &Shop, who: Uuid, user: &str) -> Call {
        let path = format!("/v1/merchants/{}/line/contact", shop.merchant);
        app.put(who, &path, json!({ "line_user_id": user }))
    }

    /// A member brings a code.
    pub fn prove(&self, app: &App, shop: &Shop, who: Uuid, code: &str) -> Call {
        let path = format!("/v1/merchants/{}/line/contact/proof", shop.merchant);
        app.put(who, &path, json!({ "code": code }))
    }

    /// Lets the service send by this channel's LINE.
    pub fn serves(&self, app: &mut App) {
        let bookings = app.bookings.clone().with_line((self.client.clone(), self.pace.clone()));
        app.becomes(bookings);
    }

    /// Lets everything be due, and sends it.
    pub async fn send(&self, app: &App) -> usize {
        sqlx::query(
            "UPDATE notification_logs SET next_attempt_at = now() WHERE status = 'pending'",
        )
        .execute(&app.db)
        .await
        .unwrap();
        self.look(app).await
    }

    /// Sends what is due.
    pub async fn look(&self, app: &App) -> usize {
        app.bookings.send_due(&self.client, &self.pace).await.unwrap()
    }
}

/// Kind, status, error reason and attempts of a message.
pub type Entry = (String, String, Option<String>, i64);

/// Returns a booking's messages, as the merchant reads them.
pub async fn log(app: &App, shop: &Shop, booking: Uuid) -> Vec<Entry> {
    let path = format!("/v1/bookings/{booking}/notifications");
    let log = app.get(shop.owner, &path).send().await.expect(200).json();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let items = log["items"].as_array().unwrap().iter();
    items
        .map(|item| {
            let reason = text(&item["error_reason"]);
            let attempts = item["attempts"].as_i64().unwrap();
            (text(&item["kind"]).unwrap(), text(&item["status"]).unwrap(), reason, attempts)
        })
        .collect()
}

pub fn user(number: u128) -> String {
    format!("U{number:032x}")
}
