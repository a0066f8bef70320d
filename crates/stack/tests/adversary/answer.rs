//! One exchange on the wire.

use reqwest::{Client, Method};
use serde_json::Value;

/// A request with nothing left to fill in.
#[derive(Clone, Debug)]
pub struct Ready {
    pub method: Method,
    pub url: String,
    pub ids: Vec<String>,
    pub query: Vec<(String, String)>,
    pub token: Option<String>,
    pub key: Option<String>,
    pub if_match: Option<String>,
    pub json: Value,
    pub sent: Option<(&'static str, String)>,
}

#[derive(Clone, Debug)]
pub struct Answer {
    /// None: there was no answer.
    pub status: Option<u16>,
    pub body: Value,
    /// The body as it came.
    pub text: String,
    pub media: String,
    pub etag: Option<String>,
    /// It says that it is the first answer again.
    pub replayed: bool,
}

impl Answer {
    pub fn granted(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }

    /// As people read it.
    pub fn short(&self) -> String {
        let status = self.status.map_or("no answer".to_owned(), |status| status.to_string());
        format!("{status} {}", self.code()).trim_end().to_owned()
    }

    fn none() -> Self {
        let (body, text, media) = (Value::Null, String::new(), String::new());
        Self { status: None, body, text, media, etag: None, replayed: false }
    }
}

impl Ready {
    pub async fn send(&self, client: &Client) -> Answer {
        let mut url = self.url.clone();
        for (n, (name, value)) in self.query.iter().enumerate() {
            url.push(if n == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.push_str(&escaped(value));
        }
        let mut request = client.request(self.method.clone(), url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &self.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(etag) = &self.if_match {
            request = request.header("if-match", etag);
        }
        if let Some((media, text)) = &self.sent {
            request = request.header("content-type", *media).body(text.clone());
        }
        let Ok(response) = request.send().await else { return Answer::none() };
        let header = |name: &str| {
            let value = response.headers().get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned)
        };
        let (etag, media) = (header("etag"), header("content-type").unwrap_or_default());
        let replayed = header("idempotency-replayed").is_some();
        let status = response.status().as_u16();
        let Ok(text) = response.text().await else { return Answer::none() };
        let body = serde_json::from_str(&text).unwrap_or_default();
        Answer { status: Some(status), body, text, media, etag, replayed }
    }
}

fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:".contains(&b);
    let one = |b: u8| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    text.bytes().map(one).collect()
}
