//! A small service behind the real edge, on real ports.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::{get, post};
use axum::{Json as Body, Router};
use futures::StreamExt as _;
use kit::config::{self, Limits};
use kit::error::Fields;
use kit::health::Health;
use kit::http::{self, Command, Json, Origins, Path, Query};
use kit::redis::Redis;
use kit::serve::{Addresses, Listeners, Servers};
use kit::{ApiError, page};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::tokens::Issuer;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use utoipa::openapi::path::{HttpMethod, Operation, PathItem, PathsBuilder};
use uuid::Uuid;

/// The handlers' counters and switches.
#[derive(Default)]
pub struct Seen {
    /// Number of commands carried out.
    pub stored: AtomicUsize,
    /// The methods of the `/wait` that were canceled half way.
    pub dropped: Arc<Mutex<Vec<Method>>>,
    /// Notified when a `/wait` has begun.
    pub waiting: Notify,
    /// Lets the `/wait` end.
    pub go_on: Notify,
}

pub struct World {
    pub at: Addresses,
    pub seen: Arc<Seen>,
    pub stop: CancellationToken,
    /// Ends with the servers.
    pub served: JoinHandle<()>,
}

/// Timeouts for these tests: short, and far enough apart to be distinguished.
pub fn limits() -> Limits {
    Limits {
        first_byte_timeout: Duration::from_millis(300),
        header_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(900),
        write_timeout: Duration::from_millis(500),
        drain_timeout: Duration::from_millis(1500),
        max_connections_per_address: 10_000,
        ..Limits::default()
    }
}

impl World {
    /// Starts without a database.
    pub async fn start() -> Self {
        let nowhere = PgPoolOptions::new().connect_lazy("postgres://x@127.0.0.1:1/x").unwrap();
        Self::with(nowhere, &config::Redis::new(None), limits()).await
    }

    pub async fn with(database: PgPool, redis: &config::Redis, limits: Limits) -> Self {
        let edge = config::Edge::default();
        Self::behind(database, redis, limits, edge, Origins::Anonymous).await
    }

    /// Starts without a database, with rate limits.
    pub async fn limited(redis: &config::Redis, edge: config::Edge) -> Self {
        Self::shared(redis, edge, Origins::Anonymous).await
    }

    /// Like [`Self::limited`], with rights for pages of other origins.
    pub async fn shared(redis: &config::Redis, edge: config::Edge, origins: Origins) -> Self {
        let nowhere = PgPoolOptions::new().connect_lazy("postgres://x@127.0.0.1:1/x").unwrap();
        Self::behind(nowhere, redis, limits(), edge, origins).await
    }

    pub async fn behind(
        database: PgPool,
        redis: &config::Redis,
        limits: Limits,
        edge: config::Edge,
        origins: Origins,
    ) -> Self {
        let seen = Arc::new(Seen::default());
        let any = "127.0.0.1:0".parse().unwrap();
        let listen = config::Listen {
            http_listen: any,
            grpc_listen: any,
            admin_listen: any,
            limits,
            edge,
            tls: config::Tls::default(),
        };
        let listeners = Listeners::bind(&listen).unwrap();
        let at = listeners.addresses().unwrap();
        let servers = Servers {
            http: router(seen.clone(), origins),
            grpc: Routes::default(),
            health: Health::new(
                "points",
                database,
                Redis::new(redis, "points", &testkit::redis::secret()).unwrap(),
            ),
        };
        let stop = CancellationToken::new();
        let served = tokio::spawn(listeners.serve(servers, stop.clone()));
        Self { at, seen, stop, served }
    }

    pub fn stored(&self) -> usize {
        self.seen.stored.load(Ordering::SeqCst)
    }
}

fn router(seen: Arc<Seen>, origins: Origins) -> Router {
    let routes = Router::new()
        .route("/things", post(create).get(list))
        .route("/things/{id}", get(one))
        .route("/echo", post(echo))
        .route("/panic", get(panics))
        .route("/wait", get(wait).post(wait))
        .route("/broken", get(broken))
        .route("/trickle", get(trickle))
        .route("/hang", get(std::future::pending::<String>))
        .with_state(seen);
    let limits = http::Limits {
        body_timeout: Duration::from_millis(400),
        request_timeout: Duration::from_secs(3),
        strict: &["/echo"],
        unlimited: &["/broken"],
        origins,
        ..http::Limits::default()
    };
    let things = PathItem::new(HttpMethod::Post, Operation::default());
    let paths = PathsBuilder::new().path("/things", things);
    let openapi = utoipa::openapi::OpenApiBuilder::new().paths(paths).build();
    http::edge_with(limits, routes, openapi, Issuer::new().verifier())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThingBody {
    name: String,
    amount: i64,
    color: Option<Color>,
    #[serde(default)]
    parts: Vec<PartBody>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartBody {
    id: Uuid,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Color {
    Red,
}

struct Thing {
    name: String,
    amount: i64,
}

impl TryFrom<&ThingBody> for Thing {
    type Error = ApiError;

    fn try_from(body: &ThingBody) -> Result<Self, ApiError> {
        let mut fields = Fields::new();
        let name = (!body.name.is_empty()).then(|| body.name.clone()).ok_or("is empty");
        let name = fields.check("name", "invalid_name", name);
        let amount = (body.amount > 0).then_some(body.amount).ok_or("is not above zero");
        let amount = fields.check("amount", "invalid_amount", amount);
        fields.done(|| Some(Self { name: name?, amount: amount? }))
    }
}

async fn create(
    State(seen): State<Arc<Seen>>,
    Command { key, body }: Command<ThingBody>,
) -> Result<(StatusCode, Body<Value>), ApiError> {
    let thing = Thing::try_from(&body)?;
    seen.stored.fetch_add(1, Ordering::SeqCst);
    let answer = json!({
        "name": thing.name,
        "amount": thing.amount,
        "color": body.color,
        "parts": body.parts.iter().map(|part| part.id).collect::<Vec<_>>(),
        "key": key.value,
        "route": key.route,
        "fingerprint": format!("{:x?}", key.fingerprint),
    });
    Ok((StatusCode::CREATED, Body(answer)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Filter {
    limit: Option<i64>,
    after: Option<String>,
    name: Option<String>,
}

async fn list(Query(filter): Query<Filter>) -> Result<Body<Value>, ApiError> {
    let limit = page::limit(filter.limit)?;
    let after: Option<Uuid> = filter.after.as_deref().map(page::key).transpose()?;
    Ok(Body(json!({ "limit": limit, "after": after, "name": filter.name })))
}

async fn one(Path(id): Path<Uuid>) -> Body<Value> {
    Body(json!({ "id": id }))
}

async fn echo(Json(body): Json<Value>) -> Body<Value> {
    Body(body)
}

async fn broken() -> Result<String, ApiError> {
    let inner = std::io::Error::other("the disk is full");
    let error = anyhow::Error::new(inner).context("cannot keep the file");
    Err(ApiError::internal(&*error))
}

#[expect(clippy::panic, reason = "what this route is for")]
async fn panics() -> String {
    panic!("a secret reason")
}

/// Sends ten pieces, over twice the time that a client may be silent.
async fn trickle() -> axum::body::Body {
    let mut tick = tokio::time::interval(Duration::from_millis(60));
    let pieces = futures::stream::poll_fn(move |cx| tick.poll_tick(cx).map(|_| Some("piece ")));
    axum::body::Body::from_stream(pieces.take(10).map(Ok::<_, std::convert::Infallible>))
}

/// Calls `work` when it is dropped.
struct OnDrop<F: Fn()>(F);

impl<F: Fn()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

async fn wait(State(seen): State<Arc<Seen>>, method: Method) -> Body<Value> {
    let dropped = seen.dropped.clone();
    let guard = OnDrop(move || dropped.lock().unwrap().push(method.clone()));
    seen.waiting.notify_one();
    seen.go_on.notified().await;
    std::mem::forget(guard);
    seen.stored.fetch_add(1, Ordering::SeqCst);
    Body(json!({ "waited": true }))
}
