//! The probes report the truth, in time, and nothing more.

use std::sync::Arc;
use std::time::Duration;

use kit::config;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use testkit::eventually;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use super::wire::{Answer, get};
use super::world::{World, limits};

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Open,
    /// Connections break, including new ones.
    Broken,
    /// Connections stay open but transfer nothing: a stopped process, a lost route.
    Frozen,
}

/// A proxy before a server, which can be closed.
struct Gate {
    port: u16,
    mode: watch::Sender<Mode>,
}

impl Gate {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (mode, watching) = watch::channel(Mode::Open);
        let server: Arc<str> = server.into();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server.clone(), watching.clone()));
            }
        });
        Self { port, mode }
    }

    fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn pass(mut client: TcpStream, server: Arc<str>, mut mode: watch::Receiver<Mode>) {
    let now = *mode.borrow_and_update();
    if now == Mode::Open {
        let Ok(mut server) = TcpStream::connect(&*server).await else { return };
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = mode.changed() => {}
        }
    }
    let now = *mode.borrow_and_update();
    if now == Mode::Frozen {
        let _ = mode.changed().await;
    }
}

async fn gated(db: &PgPool) -> (Gate, PgPool) {
    let options = db.connect_options();
    let gate = Gate::before(format!("{}:{}", options.get_host(), options.get_port())).await;
    let behind = (*options).clone().host("127.0.0.1").port(gate.port);
    (gate, PgPoolOptions::new().max_connections(1).connect_lazy_with(behind))
}

async fn ready(world: &World) -> (u16, String) {
    let answer = get(world.at.http, "/ready").await;
    (answer.status, answer.json()["status"].as_str().unwrap().to_owned())
}

/// Returns the time until `/ready` answers `status`.
async fn until(world: &World, status: u16) -> Duration {
    let started = Instant::now();
    eventually(Duration::from_secs(10), || async {
        (ready(world).await.0 == status).then_some(())
    })
    .await;
    started.elapsed()
}

#[sqlx::test(migrations = false)]
async fn readiness_follows_the_database_within_two_seconds(db: PgPool) {
    let (gate, pool) = gated(&db).await;
    let world = World::with(pool, &config::Redis::new(None), limits()).await;
    assert_eq!(ready(&world).await, (200, "ready".to_owned()));
    for away in [Mode::Broken, Mode::Frozen] {
        gate.set(away);
        let took = until(&world, 503).await;
        assert!(took < Duration::from_millis(2100), "noticed after {took:?}");
        assert_eq!(get(world.at.http, "/live").await.status, 200);
        assert_eq!(get(world.at.http, "/health").await.status, 200);
        gate.set(Mode::Open);
        let took = until(&world, 200).await;
        assert!(took < Duration::from_millis(2100), "recovered after {took:?}");
    }
}

#[sqlx::test(migrations = false)]
async fn a_busy_pool_is_not_a_database_that_is_away(db: PgPool) {
    let (_gate, pool) = gated(&db).await;
    let world = World::with(pool.clone(), &config::Redis::new(None), limits()).await;
    let held = pool.acquire().await.unwrap();
    assert_eq!(ready(&world).await, (200, "ready".to_owned()));
    let details = get(world.at.admin, "/health/detailed").await.json();
    assert_eq!(details["database"]["pool"]["in_use"], 1, "{details}");
    assert_eq!(details["database"]["pool"]["max"], 1);
    drop(held);
}

#[sqlx::test(migrations = false)]
async fn without_redis_a_service_is_degraded_and_ready(db: PgPool) {
    let url = testkit::redis::url();
    let address = url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let gate = Gate::before(address).await;
    let redis = config::Redis::new(Some(format!("redis://127.0.0.1:{}", gate.port).into()));
    let (_open, pool) = gated(&db).await;
    let world = World::with(pool, &redis, limits()).await;
    let said = |status: &'static str| {
        let world = &world;
        eventually(Duration::from_secs(5), move || async move {
            (ready(world).await == (200, status.to_owned())).then_some(())
        })
    };
    said("ready").await;
    gate.set(Mode::Frozen);
    said("degraded").await;
    gate.set(Mode::Open);
    said("ready").await;
}

/// Otherwise `rate()` would miss the first failure of a route that was never called.
#[tokio::test]
async fn the_failures_of_every_route_and_method_are_counted_from_zero() {
    let world = World::start().await;
    let metrics = String::from_utf8(get(world.at.admin, "/metrics").await.body).unwrap();
    for series in [
        r#"http_requests_total{method="POST",path="/things",status="500"} 0"#,
        r#"http_requests_total{method="POST",path="/things",status="503"} 0"#,
        r#"panic_by_endpoint_total{endpoint="/things"} 0"#,
        r#"grpc_requests_total{code="INTERNAL",method="points.v1.Points/Earn"} 0"#,
        r#"grpc_requests_total{code="UNAVAILABLE",method="points.v1.Points/Earn"} 0"#,
        r#"panic_by_endpoint_total{endpoint="points.v1.Points/Earn"} 0"#,
    ] {
        assert!(metrics.lines().any(|line| line == series), "no {series}");
    }
    assert!(!metrics.contains("auth.v1"), "methods of another service");
}

#[tokio::test]
async fn an_unready_service_says_what_is_away_and_not_why() {
    let world = World::start().await;
    let answer: Answer = get(world.at.http, "/ready").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), "1");
    let body = answer.json();
    let expected = serde_json::json!({ "status": "unready", "checks": { "database": "down" } });
    assert_eq!(body, expected);
    assert_eq!(get(world.at.http, "/health/detailed").await.status, 404, "admin port only");
    assert_eq!(get(world.at.http, "/metrics").await.status, 404, "admin port only");
}

#[sqlx::test(migrations = false)]
async fn grpc_health_follows_readiness_and_reflection_names_our_services(db: PgPool) {
    let (gate, pool) = gated(&db).await;
    let world = World::with(pool, &config::Redis::new(None), limits()).await;
    let url = format!("http://{}", world.at.grpc);
    let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
    let health = HealthClient::new(channel);
    let says = |serving: i32| {
        let health = &health;
        eventually(Duration::from_secs(5), move || async move {
            let mut all = true;
            for service in ["", "points.v1.Points"] {
                let request = HealthCheckRequest { service: service.to_owned() };
                let answer = health.clone().check(request).await.unwrap().into_inner();
                all &= answer.status == serving;
            }
            all.then_some(())
        })
    };
    says(1).await;
    gate.set(Mode::Broken);
    says(2).await;
    gate.set(Mode::Open);
    says(1).await;
}
