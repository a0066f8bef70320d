//! The services this one calls.

mod sources;

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

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

    /// A session, or why there is none.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<Tokens, NoSession> {
        let body = json!({ "email": email, "password": password });
        let reply = self.post("/v1/login", &body).await.ok_or(NoSession::Away)?;
        match reply.status().as_u16() {
            200 => reply.json().await.map_err(|_| NoSession::Away),
            401 | 422 => Err(NoSession::Wrong),
            429 => Err(NoSession::TooMany),
            _ => Err(NoSession::Away),
        }
    }

    /// The session's next tokens, unless it has ended or auth is away.
    pub async fn refresh(&self, refresh: &str) -> Option<Tokens> {
        let reply = self.post("/v1/refresh", &json!({ "refresh_token": refresh })).await?;
        if reply.status().as_u16() == 200 { reply.json().await.ok() } else { None }
    }

    /// Ends the session at auth as well. When auth is away it ends by itself, later.
    pub async fn sign_out(&self, access: &SecretString) {
        let url = format!("{}/v1/sessions/current", self.url);
        let call = self.client.delete(url).bearer_auth(access.expose_secret());
        if call.send().await.is_err() {
            tracing::warn!("auth is away: a console session ends by its own clock");
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Option<reqwest::Response> {
        self.client.post(format!("{}{path}", self.url)).json(body).send().await.ok()
    }
}
