//! POST requests to other systems, over TLS except within the cluster.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::Full;
use observability::https;

/// The timeout of a channel, below the outbox's own.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The URL of a webhook. It is a secret: whoever knows it may post.
#[derive(Clone)]
pub struct Address(Uri);

impl FromStr for Address {
    type Err = &'static str;

    /// Accepts plain HTTP only to this machine, or to a name without a dot, such as a container's.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.trim().parse().map_err(|_| "the address is not a URL")?;
        let host = uri.host().ok_or("the address has no host")?;
        let home = host == "127.0.0.1" || host == "[::1]" || !host.contains('.');
        match uri.scheme_str() {
            Some("https") => Ok(Self(uri)),
            Some("http") if home => Ok(Self(uri)),
            _ => Err("the address must be https"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(…)")
    }
}

/// Cheap to clone.
#[derive(Clone)]
pub(super) struct Client(https::Client);

impl Client {
    pub(super) fn new() -> anyhow::Result<Self> {
        Ok(Self(https::client(Duration::from_secs(2))?))
    }

    /// Posts a body. Succeeds when the answer is 2xx; a redirect is a failure.
    pub(super) async fn post(
        &self,
        address: &Address,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<(), String> {
        let mut request = Request::post(address.0.clone())
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| "the request is invalid".to_owned())?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let answer = tokio::time::timeout(TIMEOUT, self.0.request(request)).await;
        // The client's own errors may quote the address.
        let answer = answer
            .map_err(|_| "the channel did not answer in time")?
            .map_err(|_| "the channel could not be reached")?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("the channel answered {}", status.as_u16()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_travel_in_the_clear_nor_into_a_log() {
        for good in
            ["https://hooks.slack.com/services/T/B/x", "http://127.0.0.1:9/x", "http://sms:80/"]
        {
            let address: Address = good.parse().unwrap();
            assert_eq!(format!("{address:?}"), "Address(…)");
        }
        for bad in ["http://hooks.slack.com/x", "ftp://a.b/c", "/x", "", "https://"] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
