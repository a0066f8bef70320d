//! The guard of design rule 3, end to end.
//!
//! sqlx 0.8.4 to 0.9.0 put a connection back into the pool inside an open transaction when a future
//! is dropped during BEGIN; whoever uses it next commits nothing, though they are told otherwise
//! (transact-rs/sqlx#4385). Clients that hang up drop such futures. Run this on every sqlx bump.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use kit::Clock;
use kit::config::{self, Limits, Listen};
use kit::health::Health;
use kit::redis::Redis;
use kit::serve::{Servers, serve};
use points::app::Points;
use reqwest::StatusCode;
use serde_json::Value;
use sqlx::PgPool;
use testkit::http::Api;
use testkit::tokens::Issuer;
use testkit::{eventually, postgres, redis};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::{id, key, points, uuid};

const POLITE: usize = 8;
const RUDE: usize = 8;
/// Of each polite client. Without the guards, about one in sixty is lost.
const REQUESTS: usize = 250;

#[sqlx::test(migrator = "points::MIGRATOR")]
async fn every_acknowledged_write_is_there_though_others_hang_up(db: PgPool) {
    let service = Service::start(&db).await;
    let rude_may_go_on = Arc::new(AtomicBool::new(true));
    let rude_requests = Arc::new(AtomicUsize::new(0));
    let rude: Vec<_> = (0..RUDE)
        .map(|n| {
            let (service, go_on) = (service.clone(), rude_may_go_on.clone());
            tokio::spawn(be_rude(service, n, go_on, rude_requests.clone()))
        })
        .collect();

    let polite = (0..POLITE).map(|_| tokio::spawn(be_polite(service.clone())));
    let acknowledged: Vec<Uuid> =
        join_all(polite).await.into_iter().flat_map(Result::unwrap).collect();
    rude_may_go_on.store(false, Ordering::Relaxed);
    join_all(rude).await;

    let stored: HashSet<Uuid> = sqlx::query_scalar("SELECT entry_id FROM entry")
        .fetch_all(&db)
        .await
        .unwrap()
        .into_iter()
        .collect();
    let lost = acknowledged.iter().filter(|entry| !stored.contains(entry)).count();
    let rude = rude_requests.load(Ordering::Relaxed);
    println!("{} acknowledged, {lost} of them lost; {rude} rude requests", acknowledged.len());

    assert_eq!(lost, 0, "of {} acknowledged writes", acknowledged.len());
    assert!(acknowledged.len() > POLITE * REQUESTS / 2, "mostly refused: nothing was tested");
    assert!(rude > POLITE * REQUESTS / 8, "hardly anybody was rude: nothing was tested");
    service.stop.cancel();
}

/// The real service on free ports, with the pool that production has.
#[derive(Clone)]
struct Service {
    http: SocketAddr,
    account: Uuid,
    operator: String,
    stop: CancellationToken,
}

impl Service {
    async fn start(db: &PgPool) -> Self {
        let config = config::Postgres::new(postgres::url(db, "points_app"));
        let pool = kit::postgres::connect(&config, "points", &points::MIGRATOR).await.unwrap();
        let redis = Redis::new(&redis::none(), "points").unwrap();
        let issuer = Issuer::new();
        let app = Points::new(pool.clone(), redis.clone(), Clock::system());
        let listen = Listen {
            http_listen: free_port().await,
            grpc_listen: free_port().await,
            admin_listen: free_port().await,
            limits: Limits::default(),
        };
        let http = points::http::router(app.clone(), issuer.verifier());
        let servers = Servers {
            http: http.clone(),
            grpc: points::grpc::routes(app, issuer.verifier()),
            health: Health::new("points", pool, redis),
        };
        let stop = CancellationToken::new();
        let (at, stopped) = (listen.http_listen, stop.clone());
        tokio::spawn(async move { serve(&listen, servers, stopped).await.unwrap() });
        eventually(Duration::from_secs(5), || async { TcpStream::connect(at).await.ok() }).await;

        let opening = Api::new(http).post("/v1/accounts").bearer(&issuer.member(id())).key(&key());
        let account = opening.json(serde_json::json!({})).send().await.expect(201).json();
        let operator = issuer.with_roles(id(), &[kit::caller::Role::Operator]);
        Self { http: at, account: uuid(&account["account_id"]), operator, stop }
    }
}

/// The entries of every 201.
async fn be_polite(service: Service) -> Vec<Uuid> {
    let client = reqwest::Client::new();
    let url = format!("http://{}/v1/accounts/{}/earnings", service.http, service.account);
    let mut acknowledged = Vec::new();
    for _ in 0..REQUESTS {
        let request = client.post(&url).bearer_auth(&service.operator);
        let reply = request.header("idempotency-key", key()).json(&points(1)).send().await.unwrap();
        if reply.status() == StatusCode::CREATED {
            acknowledged.push(uuid(&reply.json::<Value>().await.unwrap()["entry_id"]));
        }
    }
    acknowledged
}

/// Sends whole requests and hangs up 0 to 3 ms later, without reading.
async fn be_rude(service: Service, seed: usize, go_on: Arc<AtomicBool>, sent: Arc<AtomicUsize>) {
    let body = points(1).to_string();
    let mut patience = seed as u64;
    while go_on.load(Ordering::Relaxed) {
        let request = format!(
            "POST /v1/accounts/{}/earnings HTTP/1.1\r\nhost: points\r\nauthorization: Bearer {}\r\n\
             idempotency-key: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            service.account,
            service.operator,
            key(),
            body.len(),
        );
        let Ok(mut socket) = TcpStream::connect(service.http).await else { continue };
        if socket.write_all(request.as_bytes()).await.is_ok() {
            sent.fetch_add(1, Ordering::Relaxed);
        }
        patience = (patience * 7 + 331) % 3_001;
        // Not a wait for anything: this is how patient the client is.
        tokio::time::sleep(Duration::from_micros(patience)).await;
    }
}

/// Free a moment ago, which is enough on a machine of our own.
async fn free_port() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap()
}
