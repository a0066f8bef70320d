//! The guard of design rule 3, end to end.
//!
//! sqlx 0.8.4 to 0.9.0 put a connection back into the pool inside an open transaction when a future
//! is dropped during BEGIN (transact-rs/sqlx#4385). A transaction that comes next commits all the
//! same; a statement without one is acknowledged, and undone by whatever is rolled back after it, or
//! when the connection closes. Clients that hang up drop such futures. Run this on every sqlx bump.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use kit::Clock;
use kit::caller::Role;
use kit::config::{self, Limits, Listen};
use kit::health::Health;
use kit::redis::Redis;
use kit::serve::{Servers, serve};
use points::app::Points;
use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::http::Api;
use testkit::tokens::Issuer;
use testkit::{eventually, postgres, redis};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::{id, key, points, uuid};

const POLITE: usize = 8;
const RUDE: usize = 8;
/// The requests of each polite client.
const REQUESTS: usize = 150;

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn every_acknowledged_write_is_there_though_others_hang_up(db: PgPool) {
    let service = Service::start(&db).await;
    let pace = Arc::new(Pace { turns: Semaphore::new(RUDE), latency: AtomicU64::new(3_000) });

    let rude = spawn(RUDE, |n| be_rude(service.clone(), n, pace.clone()));
    let jobs = spawn(2, |_| work(service.pool.clone(), pace.clone()));
    let polite = spawn(POLITE, |n| be_polite(service.clone(), n, pace.clone()));
    let earned = done(polite).await.concat();
    pace.turns.close();
    let noted = done(jobs).await.concat();
    let rude: usize = done(rude).await.into_iter().sum();
    // This undoes every transaction that is still open.
    service.stop().await;

    let lost_earned = lost(&db, "SELECT entry_id FROM entry", &earned).await;
    let lost_noted = lost(&db, "SELECT event_id FROM inbox_message", &noted).await;
    println!(
        "{lost_earned} of {} earnings lost, {lost_noted} of {} notes lost, {rude} rude requests",
        earned.len(),
        noted.len()
    );
    assert_eq!((lost_earned, lost_noted), (0, 0), "acknowledged writes are not there");
    assert!(earned.len() > POLITE * REQUESTS / 2, "mostly refused: nothing was tested");
    assert!(rude > POLITE * REQUESTS / 2, "hardly anybody was rude: nothing was tested");
}

/// The real service on free ports, with the pool that production has.
#[derive(Clone)]
struct Service {
    http: SocketAddr,
    accounts: Vec<Uuid>,
    operator: String,
    pool: PgPool,
    stop: CancellationToken,
}

/// Lets through as many rude requests as polite ones, because abandoned work is still work. Each rude client waits
/// just long enough to leave in the middle of its request.
struct Pace {
    turns: Semaphore,
    /// The latency of the last polite request, in microseconds.
    latency: AtomicU64,
}

impl Service {
    async fn start(db: &PgPool) -> Self {
        let config = config::Postgres::new(postgres::url(db, "points_app"));
        let pool = kit::postgres::connect(&config, "points", &points::MIGRATOR).await.unwrap();
        let redis = Redis::new(&redis::none(), "points", &redis::secret()).unwrap();
        let issuer = Issuer::new();
        let app = Points::new(pool.clone(), redis.clone(), Clock::system());
        let listen = Listen {
            http_listen: free_port().await,
            grpc_listen: free_port().await,
            admin_listen: free_port().await,
            limits: Limits::default(),
            edge: config::Edge { rate_limit: "1000000/1m".parse().unwrap(), ..Default::default() },
            tls: config::Tls::default(),
        };
        let http = points::http::router(app.clone(), issuer.verifier());
        let servers = Servers {
            http: http.clone(),
            grpc: points::grpc::routes(app, issuer.verifier()),
            health: Health::new("points", pool.clone(), redis),
        };
        let stop = CancellationToken::new();
        let (at, stopped) = (listen.http_listen, stop.clone());
        tokio::spawn(async move { serve(&listen, servers, stopped).await.unwrap() });
        eventually(Duration::from_secs(5), || async { TcpStream::connect(at).await.ok() }).await;

        let api = Api::new(http);
        let mut accounts = Vec::new();
        for _ in 0..POLITE + RUDE {
            let opening = api.post("/v1/accounts").bearer(&issuer.member(id())).key(&key());
            let account = opening.json(json!({})).send().await.expect(201).json();
            accounts.push(uuid(&account["account_id"]));
        }
        let operator = issuer.with_roles(id(), &[Role::Operator]);
        Self { http: at, accounts, operator, pool, stop }
    }

    async fn stop(self) {
        self.stop.cancel();
        self.pool.close().await;
    }
}

/// The entries of every 201.
async fn be_polite(service: Service, n: usize, pace: Arc<Pace>) -> Vec<Uuid> {
    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/accounts/{}/earnings", service.http, service.accounts[n]);
    let mut acknowledged = Vec::new();
    for _ in 0..REQUESTS {
        let begun = Instant::now();
        let request = client.post(&url).bearer_auth(&service.operator);
        let reply = request.header("idempotency-key", key()).json(&points(1)).send().await.unwrap();
        if reply.status() == StatusCode::CREATED {
            acknowledged.push(uuid(&reply.json::<Value>().await.unwrap()["entry_id"]));
        }
        let latency = u64::try_from(begun.elapsed().as_micros()).unwrap();
        pace.latency.store(latency, Ordering::Relaxed);
        pace.turns.add_permits(1);
    }
    acknowledged
}

/// Sends whole requests and hangs up without reading. Says how many.
async fn be_rude(service: Service, n: usize, pace: Arc<Pace>) -> usize {
    let body = points(1).to_string();
    let mut share = n as u64;
    let mut sent = 0;
    while let Ok(turn) = pace.turns.acquire().await {
        turn.forget();
        let request = format!(
            "POST /v1/accounts/{}/earnings HTTP/1.1\r\nhost: points\r\nauthorization: Bearer {}\r\n\
             idempotency-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            service.accounts[POLITE + n],
            service.operator,
            key(),
            body.len(),
        );
        let mut socket = TcpStream::connect(service.http).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        sent += 1;
        share = (share * 7 + 331) % 1_000;
        let patience = pace.latency.load(Ordering::Relaxed) * share / 1_000;
        // Not a wait for anything: this is how patient the client is.
        tokio::time::sleep(Duration::from_micros(patience)).await;
    }
    sent
}

/// Works like a background job: statements on the same pool, without a transaction.
async fn work(pool: PgPool, pace: Arc<Pace>) -> Vec<Uuid> {
    let mut acknowledged = Vec::new();
    while !pace.turns.is_closed() {
        let event = id();
        let note = sqlx::query("INSERT INTO inbox_message (consumer, event_id) VALUES ('job', $1)");
        if note.bind(event).execute(&pool).await.is_ok() {
            acknowledged.push(event);
        }
    }
    acknowledged
}

async fn lost(db: &PgPool, stored: &'static str, acknowledged: &[Uuid]) -> usize {
    let stored: Vec<Uuid> = sqlx::query_scalar(stored).fetch_all(db).await.unwrap();
    let stored: HashSet<Uuid> = stored.into_iter().collect();
    acknowledged.iter().filter(|id| !stored.contains(id)).count()
}

fn spawn<F>(count: usize, task: impl Fn(usize) -> F) -> Vec<JoinHandle<F::Output>>
where
    F: Future<Output: Send> + Send + 'static,
{
    (0..count).map(|n| tokio::spawn(task(n))).collect()
}

async fn done<T>(tasks: Vec<JoinHandle<T>>) -> Vec<T> {
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

/// Free a moment ago, which is enough on a machine of our own.
async fn free_port() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap()
}
