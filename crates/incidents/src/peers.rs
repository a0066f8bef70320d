//! The services this one calls.

mod sources;

use std::net::IpAddr;
use std::time::Duration;

use axum::http::header::{COOKIE, SET_COOKIE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::time::sleep;

pub use sources::Sources;

/// Auth's sessions, for the console.
#[derive(Clone)]
pub struct Login {
    client: reqwest::Client,
    url: String,
}

/// A session's tokens: one to show, one to get the next two with.
#[derive(Deserialize)]
pub struct Tokens {
    pub access_token: SecretString,
    pub refresh_token: SecretString,
}

/// What is left of a session's tokens.
#[derive(Default)]
pub struct Held {
    pub access: Option<SecretString>,
    pub refresh: Option<SecretString>,
}

impl From<Tokens> for Held {
    fn from(tokens: Tokens) -> Self {
        Self { access: Some(tokens.access_token), refresh: Some(tokens.refresh_token) }
    }
}

/// Auth does not answer.
struct Away;

/// How long to wait before each try to end a session, in seconds: ten minutes in all.
const PAUSES: [u64; 12] = [1, 2, 4, 8, 15, 30, 60, 60, 60, 120, 120, 120];

/// What auth sets to know a device again by.
pub const DEVICE: &str = "__Host-device";

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whose browser it is that we call auth for. Auth counts guesses by where they come from: were all of them
/// ours, then five of a stranger's would lock out everybody.
#[derive(Clone, Default)]
pub struct Browser {
    /// Auth believes us when we are one of its `TRUSTED_PROXIES`.
    pub address: Option<IpAddr>,
    /// What it says it is, for the member's list of sessions.
    pub agent: Option<HeaderValue>,
    /// The value of [`DEVICE`].
    pub device: Option<String>,
}

/// Why somebody cannot sign in, in words for them.
#[derive(Clone, Copy, Debug, Error)]
pub enum NoSession {
    #[error("This address and password do not go together.")]
    Wrong,
    #[error("The console is for operators.")]
    NotOperator,
    #[error("Too many attempts. Try again later.")]
    TooMany,
    #[error("Nobody can sign in right now. Try again in a moment.")]
    Away,
}

impl Login {
    /// `url` is auth's public HTTP, such as `http://auth:8080`.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(5))
            .connect_timeout(Duration::from_secs(1))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// A session and what its device is to be known by, or why there is none.
    pub async fn sign_in(
        &self,
        browser: &Browser,
        email: &str,
        password: &str,
    ) -> Result<(Tokens, Option<HeaderValue>), NoSession> {
        let body = json!({ "email": email, "password": password, "audience": "incidents" });
        let reply = self.post("/v1/login", browser, &body).await.ok_or(NoSession::Away)?;
        let device = device(reply.headers());
        match reply.status().as_u16() {
            200 => reply.json().await.map(|tokens| (tokens, device)).map_err(|_| NoSession::Away),
            401 | 422 => Err(NoSession::Wrong),
            429 => Err(NoSession::TooMany),
            _ => Err(NoSession::Away),
        }
    }

    /// The session's next tokens, unless it has ended or auth is away.
    pub async fn refresh(&self, browser: &Browser, refresh: &str) -> Option<Tokens> {
        let body = json!({ "refresh_token": refresh, "audience": "incidents" });
        let reply = self.post("/v1/refresh", browser, &body).await?;
        if reply.status().as_u16() == 200 { reply.json().await.ok() } else { None }
    }

    /// Ends a session at auth, by whichever of its tokens still works. While auth is away it is tried again, from
    /// here: nobody waits for that, and nobody else has the tokens any more.
    pub async fn sign_out(&self, browser: &Browser, mut held: Held) {
        if self.end(browser, &mut held).await.is_ok() {
            return;
        }
        tracing::warn!("auth is away: a console session ends there when it is back");
        let (login, browser) = (self.clone(), browser.clone());
        tokio::spawn(async move {
            for pause in PAUSES {
                sleep(Duration::from_secs(pause)).await;
                if login.end(&browser, &mut held).await.is_ok() {
                    return;
                }
            }
            tracing::warn!("auth was away for too long: a console session ends by its own clock");
        });
    }

    /// Ok when there is no such session any more.
    async fn end(&self, browser: &Browser, held: &mut Held) -> Result<(), Away> {
        if let Some(access) = &held.access {
            match self.delete(browser, access).await? {
                // An access token that has expired ends nothing.
                401 => held.access = None,
                _ => return Ok(()),
            }
        }
        let Some(refresh) = &held.refresh else { return Ok(()) };
        let body = json!({ "refresh_token": refresh.expose_secret() });
        let reply = self.post("/v1/refresh", browser, &body).await.ok_or(Away)?;
        match reply.status().as_u16() {
            200 => *held = Held::from(reply.json::<Tokens>().await.map_err(|_| Away)?),
            // Used up or ended.
            401 | 422 => return Ok(()),
            _ => return Err(Away),
        }
        let Some(access) = &held.access else { return Ok(()) };
        self.delete(browser, access).await.map(drop)
    }

    /// The status that auth answers.
    async fn delete(&self, browser: &Browser, access: &SecretString) -> Result<u16, Away> {
        let url = format!("{}/v1/sessions/current", self.url);
        let call = self.client.delete(url).bearer_auth(access.expose_secret());
        let reply = call.headers(browser.headers()).send().await.map_err(|_| Away)?;
        let status = reply.status().as_u16();
        if status >= 500 || status == 429 { Err(Away) } else { Ok(status) }
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

/// The one cookie of auth's that the browser is to have from us.
fn device(headers: &HeaderMap) -> Option<HeaderValue> {
    let ours = |value: &&HeaderValue| {
        let rest = value.as_bytes().strip_prefix(DEVICE.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"="))
    };
    headers.get_all(SET_COOKIE).iter().find(ours).cloned()
}
