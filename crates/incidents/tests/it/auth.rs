//! An auth to sign in at.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post};
use axum::{Json, Router};
use kit::Clock;
use kit::caller::Role;
use serde_json::{Value, json};
use testkit::tokens::Issuer;
use tokio::net::TcpListener;

pub const DEVICE: &str =
    "__Host-device=d2; Path=/; Max-Age=31536000; Secure; HttpOnly; SameSite=Strict";

/// Accepts the password `right`.
pub struct Auth {
    pub url: String,
    state: Arc<Mutex<Sessions>>,
}

pub struct Sessions {
    pub role: Role,
    /// True: it answers 503 to everything.
    pub away: bool,
    pub ended: HashSet<usize>,
    /// The path and the headers of each login and refresh: path, address, device, browser.
    pub calls: Vec<[String; 4]>,
    begun: usize,
    access: HashMap<String, usize>,
    refresh: HashMap<String, usize>,
}

type Shared = State<Arc<Mutex<Sessions>>>;

impl Auth {
    pub async fn open() -> Self {
        let state = Arc::new(Mutex::new(Sessions {
            role: Role::Operator,
            away: false,
            ended: HashSet::new(),
            calls: Vec::new(),
            begun: 0,
            access: HashMap::new(),
            refresh: HashMap::new(),
        }));
        let routes = Router::new()
            .route("/v1/login", post(login))
            .route("/v1/refresh", post(refresh))
            .route("/v1/sessions/current", delete(logout))
            .with_state(state.clone());
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        tokio::spawn(async { axum::serve(socket, routes).await });
        Self { url, state }
    }

    pub fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.state.lock().unwrap()
    }

    /// Returns the number of sessions that have begun, and those that have ended.
    pub fn ended(&self) -> (usize, Vec<usize>) {
        let sessions = self.sessions();
        let mut ended: Vec<_> = sessions.ended.iter().copied().collect();
        ended.sort_unstable();
        (sessions.begun, ended)
    }
}

impl Sessions {
    fn called(&mut self, path: &str, headers: &HeaderMap) {
        let header = |name| headers.get(name).map_or("", |v| v.to_str().unwrap()).to_owned();
        let [from, device, agent] = ["x-forwarded-for", "cookie", "user-agent"].map(header);
        self.calls.push([path.to_owned(), from, device, agent]);
    }

    fn tokens(&mut self, session: usize) -> Response {
        let access = Issuer::new().with_roles(Clock::system().id(), &[self.role]);
        let refresh = format!("refresh-{}", self.refresh.len());
        self.access.insert(access.clone(), session);
        self.refresh.insert(refresh.clone(), session);
        let tokens = json!({ "access_token": access, "refresh_token": refresh });
        ([("set-cookie", DEVICE)], Json(tokens)).into_response()
    }
}

async fn login(State(state): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut sessions = state.lock().unwrap();
    if sessions.away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    sessions.called("/v1/login", &headers);
    if body["password"] != "right" {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    sessions.begun += 1;
    let session = sessions.begun;
    sessions.tokens(session)
}

/// Accepts each token once.
async fn refresh(State(state): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let mut sessions = state.lock().unwrap();
    if sessions.away {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    sessions.called("/v1/refresh", &headers);
    let token = body["refresh_token"].as_str().unwrap();
    match sessions.refresh.insert(token.to_owned(), 0) {
        Some(session) if session > 0 && !sessions.ended.contains(&session) => {
            sessions.tokens(session)
        }
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

async fn logout(State(state): Shared, headers: HeaderMap) -> StatusCode {
    let mut sessions = state.lock().unwrap();
    if sessions.away {
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    let token = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    match sessions.access.get(token).copied() {
        Some(session) => {
            sessions.ended.insert(session);
            StatusCode::NO_CONTENT
        }
        None => StatusCode::UNAUTHORIZED,
    }
}
