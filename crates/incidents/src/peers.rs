//! The services this one calls.

use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

/// Auth's login, for the console.
#[derive(Clone)]
pub struct Login {
    client: reqwest::Client,
    url: String,
}

#[derive(Deserialize)]
struct TokenReply {
    access_token: SecretString,
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
        Ok(Self { client, url: format!("{}/v1/login", url.trim_end_matches('/')) })
    }

    /// An access token, or why there is none, for people.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<SecretString, &'static str> {
        const AWAY: &str = "Nobody can sign in right now. Try again in a moment.";
        let body = json!({ "email": email, "password": password });
        let reply = self.client.post(&self.url).json(&body).send().await.map_err(|_| AWAY)?;
        match reply.status().as_u16() {
            200 => Ok(reply.json::<TokenReply>().await.map_err(|_| AWAY)?.access_token),
            401 | 422 => Err("This address and password do not go together."),
            429 => Err("Too many attempts. Try again later."),
            _ => Err(AWAY),
        }
    }
}
