//! A stand-in for LINE's Messaging API that can fail in its ways: for the tests of booking, and for the local stack.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Router, response::IntoResponse as _, response::Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The stand-in's reaction to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Fine,
    /// Answers this, such as 400, 401, 429 or 500, and takes nothing.
    Answers(u16),
    /// Never answers, and takes nothing.
    Hangs,
    /// Takes it, and never answers.
    TakesAndHangs,
}

/// A message that was taken.
#[derive(Clone, Debug)]
pub struct Taken {
    pub retry_key: String,
    pub token: String,
    pub to: String,
    pub text: String,
    pub at: Instant,
}

#[derive(Default)]
struct Inner {
    taken: Vec<Taken>,
    /// Deliveries of each retry key.
    brought: HashMap<String, usize>,
    moods: VecDeque<Mood>,
    always: Option<Mood>,
}

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct FakeLine(Arc<Mutex<Inner>>);

/// A running server; it stops when this is dropped.
pub struct Serving {
    pub url: String,
    _stop: DropGuard,
}

impl FakeLine {
    /// Serves on a free port.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn listen(&self) -> Serving {
        let socket = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", socket.local_addr().expect("its address"));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let router = self.router();
        tokio::spawn(
            async move { axum::serve(socket, router).with_graceful_shutdown(stopped).await },
        );
        Serving { url, _stop: stop.drop_guard() }
    }

    /// Returns its HTTP routes. `PUT /mood {"answers": 500}`, `{"hangs": true}` or `{}` is for people.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/v2/bot/message/push", post(push))
            .route("/mood", axum::routing::put(mood))
            .route(
                "/taken",
                get(|State(line): State<Self>| async move {
                    Json(json!({ "taken": line.taken().len(), "last_code": line.last_code() }))
                }),
            )
            .with_state(self.clone())
    }

    /// The next messages find it like this, one each; afterwards it is as it was.
    pub fn next(&self, moods: impl IntoIterator<Item = Mood>) {
        self.lock().moods.extend(moods);
    }

    /// From now on it is like this.
    pub fn becomes(&self, mood: Mood) {
        self.lock().always = Some(mood);
    }

    pub fn taken(&self) -> Vec<Taken> {
        self.lock().taken.clone()
    }

    /// The six digits in the last message that has some.
    pub fn last_code(&self) -> Option<String> {
        let digits = |text: &str| {
            let words = text.split(|c: char| !c.is_ascii_digit());
            words.rev().find(|word| word.len() == 6).map(str::to_owned)
        };
        self.lock().taken.iter().rev().find_map(|taken| digits(&taken.text))
    }

    /// Forgets every message so far.
    pub fn forget(&self) {
        let mut inner = self.lock();
        inner.taken.clear();
        inner.brought.clear();
    }

    /// Counts the messages brought, repeats included.
    pub fn brought(&self) -> usize {
        self.lock().brought.values().sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The mood for this message.
    fn meets(&self, retry_key: &str) -> Mood {
        let mut inner = self.lock();
        *inner.brought.entry(retry_key.to_owned()).or_default() += 1;
        let next = inner.moods.pop_front();
        next.or(inner.always).unwrap_or(Mood::Fine)
    }

    /// False when this retry key was taken before.
    fn take(&self, taken: Taken) -> bool {
        let mut inner = self.lock();
        if inner.taken.iter().any(|known| known.retry_key == taken.retry_key) {
            return false;
        }
        inner.taken.push(taken);
        true
    }
}

async fn push(
    State(line): State<FakeLine>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let retry_key = header("x-line-retry-key").to_owned();
    let problem = |status: u16, message: &str| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(json!({ "message": message }))).into_response()
    };
    let Some(token) = header("authorization").strip_prefix("Bearer ") else {
        return problem(401, "Authentication failed. Confirm that the access token is valid.");
    };
    let mood = line.meets(&retry_key);
    match mood {
        Mood::Answers(status) => return problem(status, "as it was told"),
        Mood::Hangs => return forever().await,
        Mood::Fine | Mood::TakesAndHangs => {}
    }
    let text = body["messages"][0]["text"].as_str().unwrap_or_default();
    let to = body["to"].as_str().unwrap_or_default();
    if text.is_empty() || to.is_empty() || uuid::Uuid::try_parse(&retry_key).is_err() {
        return problem(400, "The request body has 1 error(s)");
    }
    let taken = Taken {
        retry_key,
        token: token.to_owned(),
        to: to.to_owned(),
        text: text.to_owned(),
        at: Instant::now(),
    };
    if !line.take(taken) {
        return problem(409, "The retry key is already accepted");
    }
    if mood == Mood::TakesAndHangs {
        return forever().await;
    }
    Json(json!({ "sentMessages": [{ "id": "1" }] })).into_response()
}

/// Longer than anybody waits.
async fn forever() -> Response {
    tokio::time::sleep(Duration::from_secs(60)).await;
    StatusCode::GATEWAY_TIMEOUT.into_response()
}

async fn mood(State(line): State<FakeLine>, Json(wanted): Json<Value>) -> StatusCode {
    let status = wanted["answers"].as_u64().and_then(|status| u16::try_from(status).ok());
    line.becomes(match status {
        Some(status) => Mood::Answers(status),
        None if wanted["hangs"] == true => Mood::Hangs,
        None => Mood::Fine,
    });
    StatusCode::NO_CONTENT
}
