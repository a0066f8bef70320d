use axum::http::{HeaderMap, HeaderValue};
use kit::outbox::Event;
use ring::hmac;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::http::{Address, Client};
use super::link;
use crate::domain::Notice;

/// A gateway that sends an SMS or opens a ticket, from JSON.
///
/// `X-Signature` is `sha256=` and the hexadecimal HMAC-SHA256 of `X-Timestamp`, a dot and the body. The timestamp
/// (the event's, in seconds since 1970) is signed so that an old message is recognized. `Idempotency-Key` stays the
/// same when a message is sent again.
pub(super) struct Webhook {
    client: Client,
    address: Address,
    key: hmac::Key,
    console: String,
}

impl Webhook {
    pub(super) fn new(
        client: Client,
        address: Address,
        secret: &SecretString,
        console: &str,
    ) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
        Self { client, address, key, console: console.to_owned() }
    }

    pub(super) async fn send(&self, event: &Event, notice: &Notice) -> Result<(), String> {
        let body = json!({
            "id": event.id,
            "at": event.occurred_at,
            "news": notice.news,
            "incident_id": notice.incident,
            "number": notice.number,
            "severity": notice.severity,
            "service": notice.service,
            "title": notice.title,
            "subject": notice.subject(),
            "text": notice.body(),
            "url": link(&self.console, notice),
        })
        .to_string();
        let timestamp = event.occurred_at.timestamp().to_string();
        let tag = hmac::sign(&self.key, format!("{timestamp}.{body}").as_bytes());
        let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("x-timestamp", timestamp),
            ("x-signature", format!("sha256={tag}")),
            ("idempotency-key", event.id.to_string()),
        ] {
            let value = HeaderValue::try_from(value)
                .map_err(|_| format!("the header {name} is invalid"))?;
            headers.insert(name, value);
        }
        self.client.post(&self.address, headers, body.into_bytes()).await
    }
}
