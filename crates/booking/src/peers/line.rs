//! LINE's Messaging API: <https://developers.line.biz/en/reference/messaging-api/#send-push-message>.

use std::str::FromStr as _;
use std::time::Duration;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, Request, StatusCode, Uri};
use http_body_util::Full;
use kit::breaker::{self, Breaker};
use observability::https;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

/// LINE accepts a message with the same retry key once within 24 hours.
const RETRY_KEY: HeaderName = HeaderName::from_static("x-line-retry-key");

/// The longest call.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A message to one LINE user, over a merchant's channel.
pub(crate) struct Push<'a> {
    pub(crate) token: &'a SecretString,
    pub(crate) retry_key: Uuid,
    pub(crate) to: &'a str,
    pub(crate) text: &'a str,
}

/// The result of a push. Reasons contain no personal data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// LINE has accepted the message, by this call or an earlier one.
    Sent,
    /// A repetition does not help.
    Refused(String),
    /// The message may have been sent: it must be repeated with the same retry key.
    Failed(String),
    /// LINE was not called, because it has failed too often just now.
    NotTried(Duration),
}

/// A client of LINE. Cheap to clone.
#[derive(Clone)]
pub struct Line {
    client: https::Client,
    push: Uri,
    breaker: Breaker,
}

impl Line {
    /// Takes the address of the API: `https://api.line.me`, or a stand-in.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let push = Uri::from_str(&format!("{}/v2/bot/message/push", url.trim_end_matches('/')))
            .context("LINE_API_URL is not a URL")?;
        let client = https::client(Duration::from_secs(1))?;
        let breaker = Breaker::new("line", breaker::Config { slow: TIMEOUT, ..Default::default() });
        Ok(Self { client, push, breaker })
    }

    pub(crate) async fn push(&self, push: Push<'_>) -> Pushed {
        let request = match self.request(&push) {
            Ok(request) => request,
            Err(reason) => return Pushed::Refused(reason),
        };
        let call = async { timeout(TIMEOUT, self.client.request(request)).await };
        // A rate limit or a wrong token is one merchant's, and no outage.
        let failed = |answer: &Result<Result<axum::http::Response<_>, _>, _>| match answer {
            Ok(Ok(answer)) => answer.status().is_server_error(),
            _ => true,
        };
        match self.breaker.call(call, failed).await {
            Err(breaker::Open { retry_after }) => Pushed::NotTried(retry_after),
            Ok(Err(_)) => Pushed::Failed("timeout".to_owned()),
            // Its text may contain the address.
            Ok(Ok(Err(_))) => Pushed::Failed("not_reached".to_owned()),
            Ok(Ok(Ok(answer))) => result_of(answer.status()),
        }
    }

    fn request(&self, push: &Push<'_>) -> Result<Request<Full<Bytes>>, String> {
        let bearer = format!("Bearer {}", push.token.expose_secret());
        let mut bearer = HeaderValue::try_from(bearer).map_err(|_| "token_malformed")?;
        bearer.set_sensitive(true);
        let body = json!({
            "to": push.to,
            "messages": [{ "type": "text", "text": push.text }],
        });
        Request::post(self.push.clone())
            .header(AUTHORIZATION, bearer)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(RETRY_KEY, push.retry_key.to_string())
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|_| "no_request".to_owned())
    }
}

fn result_of(status: StatusCode) -> Pushed {
    let reason = format!("line_{}", status.as_u16());
    match status {
        status if status.is_success() => Pushed::Sent,
        // LINE accepted this retry key before.
        StatusCode::CONFLICT => Pushed::Sent,
        // The merchant may correct the token, so the message is retried.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED => Pushed::Failed(reason),
        status if status.is_server_error() => Pushed::Failed(reason),
        _ => Pushed::Refused(reason),
    }
}
