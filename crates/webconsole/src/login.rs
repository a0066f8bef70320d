//! Sessions at auth.

use std::net::IpAddr;
use std::time::Duration;

use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::sleep;

/// Begins, renews and ends sessions at auth.
#[derive(Clone)]
pub struct Login {
    client: reqwest::Client,
    url: String,
    /// The audience of the sessions' tokens.
    service: &'static str,
}

/// A session's tokens: one for access, one to renew both.
#[derive(Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: SecretString,
    pub(crate) refresh_token: SecretString,
}

/// The tokens that are left of a session.
#[derive(Default)]
pub(crate) struct Remaining {
    pub(crate) access: Option<SecretString>,
    pub(crate) refresh: Option<SecretString>,
}

impl From<Tokens> for Remaining {
    fn from(tokens: Tokens) -> Self {
        Self { access: Some(tokens.access_token), refresh: Some(tokens.refresh_token) }
    }
}

/// Auth did not answer.
struct Unreachable;

/// The seconds before each attempt to end a session: ten minutes in all.
const PAUSES: [u64; 12] = [1, 2, 4, 8, 15, 30, 60, 60, 60, 120, 120, 120];

/// The cookie by which auth recognizes a device.
pub(crate) const DEVICE: &str = "__Host-device";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The browser that we call auth for. Auth counts wrong passwords by address: if all came from ours, five of a
/// stranger's would lock out everybody.
#[derive(Clone, Default)]
pub(crate) struct Browser {
    /// Auth accepts it when we are one of its `TRUSTED_PROXIES`.
    pub(crate) address: Option<IpAddr>,
    /// The `User-Agent`, for the member's list of sessions.
    pub(crate) agent: Option<HeaderValue>,
    /// The value of [`DEVICE`].
    pub(crate) device: Option<String>,
}

/// A sign-in that failed. The text is shown to the person.
#[derive(Clone, Copy, Debug, Error)]
pub(crate) enum NoSession {
    #[error("The e-mail address or the password is wrong.")]
    Wrong,
    #[error("The console is for operators.")]
    NotOperator,
    #[error("Too many attempts. Try again later.")]
    TooMany,
    #[error("Signing in is not possible right now. Try again in a moment.")]
    Away,
}

impl Login {
    /// `url` is auth's public HTTP, such as `http://auth:8080`; `service` has the console.
    pub fn new(url: &str, service: &'static str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .connect_timeout(Duration::from_secs(1))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned(), service })
    }

    pub(crate) fn service(&self) -> &'static str {
        self.service
    }

    /// Begins a session. Returns its tokens and the cookie that identifies the device.
    pub(crate) async fn sign_in(
        &self,
        browser: &Browser,
        email: &str,
        password: &str,
    ) -> Result<(Tokens, Option<HeaderValue>), NoSession> {
        let body = json!({ "email": email, "password": password, "audience": self.service });
        let reply = self.post("/v1/login", browser, &body).await.ok_or(NoSession::Away)?;
        let device = device(reply.headers());
        match reply.status().as_u16() {
            200 => reply.json().await.map(|tokens| (tokens, device)).map_err(|_| NoSession::Away),
            401 | 422 => Err(NoSession::Wrong),
            429 => Err(NoSession::TooMany),
            _ => Err(NoSession::Away),
        }
    }

    /// Returns the session's next tokens, or `None` when it has ended or auth does not answer.
    pub(crate) async fn refresh(&self, browser: &Browser, refresh: &str) -> Option<Tokens> {
        let body = json!({ "refresh_token": refresh, "audience": self.service });
        let reply = self.post("/v1/refresh", browser, &body).await?;
        if reply.status().as_u16() == 200 { reply.json().await.ok() } else { None }
    }

    /// Ends a session at auth with whichever of its tokens still works. While auth does not answer, it is retried in
    /// the background: only this process still has the tokens.
    pub(crate) async fn sign_out(&self, browser: &Browser, mut remaining: Remaining) {
        if self.end(browser, &mut remaining).await.is_ok() {
            return;
        }
        tracing::warn!("auth does not answer: ending a console session is retried");
        let (login, browser) = (self.clone(), browser.clone());
        tokio::spawn(async move {
            for pause in PAUSES {
                sleep(Duration::from_secs(pause)).await;
                if login.end(&browser, &mut remaining).await.is_ok() {
                    return;
                }
            }
            tracing::warn!(
                "auth did not answer for too long: a console session ends when it expires"
            );
        });
    }

    /// Succeeds when the session has ended.
    async fn end(&self, browser: &Browser, remaining: &mut Remaining) -> Result<(), Unreachable> {
        if let Some(access) = &remaining.access {
            match self.delete(browser, access).await? {
                // An expired access token ends no session.
                401 => remaining.access = None,
                _ => return Ok(()),
            }
        }
        let Some(refresh) = &remaining.refresh else { return Ok(()) };
        let body = json!({ "refresh_token": refresh.expose_secret() });
        let reply = self.post("/v1/refresh", browser, &body).await.ok_or(Unreachable)?;
        match reply.status().as_u16() {
            200 => {
                *remaining = Remaining::from(reply.json::<Tokens>().await.map_err(|_| Unreachable)?)
            }
            // Used up or ended.
            401 | 422 => return Ok(()),
            _ => return Err(Unreachable),
        }
        let Some(access) = &remaining.access else { return Ok(()) };
        self.delete(browser, access).await.map(drop)
    }

    /// Returns auth's HTTP status.
    async fn delete(&self, browser: &Browser, access: &SecretString) -> Result<u16, Unreachable> {
        let url = format!("{}/v1/sessions/current", self.url);
        let call = self.client.delete(url).bearer_auth(access.expose_secret());
        let reply = call.headers(browser.headers()).send().await.map_err(|_| Unreachable)?;
        let status = reply.status().as_u16();
        if status >= 500 || status == 429 { Err(Unreachable) } else { Ok(status) }
    }

    async fn post(&self, path: &str, browser: &Browser, body: &Value) -> Option<reqwest::Response> {
        let call = self.client.post(format!("{}{path}", self.url)).json(body);
        call.headers(browser.headers()).send().await.ok()
    }
}

impl Browser {
    fn headers(&self) -> HeaderMap {
        let address = self.address.map(|address| address.to_string());
        let address = address.and_then(|address| HeaderValue::try_from(address).ok());
        let device = self.device.as_ref().map(|device| format!("{DEVICE}={device}"));
        let device = device.and_then(|device| HeaderValue::try_from(device).ok());
        [(FORWARDED_FOR, address), (USER_AGENT, self.agent.clone()), (COOKIE, device)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect()
    }
}

/// Returns auth's device cookie, the only one that is passed on to the browser.
fn device(headers: &HeaderMap) -> Option<HeaderValue> {
    let ours = |value: &&HeaderValue| {
        let rest = value.as_bytes().strip_prefix(DEVICE.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    };
    headers.get_all(SET_COOKIE).iter().find(ours).cloned()
}
