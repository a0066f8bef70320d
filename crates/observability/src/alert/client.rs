//! Posts alerts to Slack over TLS. The webhook's address is a secret, so no error contains it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::Full;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::https;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(5);

/// Number of attempts per alert, and the first pause, which doubles.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Maximum pause, even if Slack asks for a longer one: it holds up the next alerts.
const MAX_PAUSE: Duration = Duration::from_secs(30);

pub(crate) struct Client {
    http: https::Client,
    address: Uri,
}

/// The reason for a failure; `again` is set if it may be retried, with Slack's pause if it gave one.
struct Failed {
    why: String,
    again: Option<Option<Duration>>,
}

impl Client {
    /// Creates a client of this webhook. Unencrypted addresses are allowed only on this machine.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let address: Uri = url.parse().ok().context("is not a URL")?;
        let home = matches!(address.host(), Some("127.0.0.1" | "[::1]"));
        let secure = address.scheme_str() == Some("https") && address.host().is_some();
        ensure!(secure || (home && address.scheme_str() == Some("http")), "must use https");

        Ok(Self { http: https::client(CONNECT_TIMEOUT)?, address })
    }

    /// Posts a message. Retries after 429, 5xx and no answer.
    pub(super) async fn post(&self, message: &Value) -> Result<(), String> {
        let body = Bytes::from(message.to_string());
        let mut pause = FIRST_PAUSE;
        for attempt in 1.. {
            let Err(failed) = self.attempt(body.clone()).await else { return Ok(()) };
            let Some(asked) = failed.again.filter(|_| attempt < TRIES) else {
                return Err(failed.why);
            };
            let jittered = pause.mul_f64(rand::random_range(0.8..1.2));
            sleep(asked.unwrap_or(jittered).min(MAX_PAUSE)).await;
            pause *= 2;
        }
        Ok(())
    }

    async fn attempt(&self, body: Bytes) -> Result<(), Failed> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.address.clone();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // The client's own errors may quote the address.
        let unreached = |why: &str| Failed { why: why.to_owned(), again: Some(None) };
        let answer = timeout(TIMEOUT, self.http.request(request))
            .await
            .map_err(|_| unreached("no answer in time"))?
            .map_err(|_| unreached("connection failed"))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let passing = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
        let seconds = answer.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
        let again = passing.then(|| seconds.map(Duration::from_secs));
        Err(Failed { why: format!("answered {}", status.as_u16()), again })
    }
}
