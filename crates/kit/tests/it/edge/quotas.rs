//! Rate limits, on real ports and with the test's own Redis.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures::future::join_all;
use kit::Clock;
use kit::config::Edge;
use testkit::eventually;
use testkit::redis::{Server, none};
use testkit::tokens::Issuer;

use super::wire::{Answer, Client, exchange, get, request};
use super::world::World;

fn quota(limit: &str, secrets: &str) -> Edge {
    Edge {
        rate_limit: limit.parse().unwrap(),
        rate_limit_strict: secrets.parse().unwrap(),
        ..Edge::default()
    }
}

async fn with(at: SocketAddr, path: &str, headers: &[&str]) -> Answer {
    exchange(at, &request(&format!("GET {path}"), headers, b"")).await
}

/// Returns the number of admitted requests, sent over several connections at once.
async fn admitted(at: SocketAddr, connections: usize, requests: usize, headers: &[&str]) -> usize {
    let request = request("GET /things", headers, b"");
    let each = join_all((0..connections).map(|_| async {
        let mut client = Client::connect(at).await;
        let mut admitted = 0;
        for _ in 0..requests {
            client.send(&request).await;
            admitted += usize::from(client.answer().await.status == 200);
        }
        admitted
    }));
    each.await.into_iter().sum()
}

/// A Redis client with a long timeout, so that a busy machine does not look like an outage.
fn patient(redis: &Server) -> kit::config::Redis {
    kit::config::Redis { redis_timeout: Duration::from_secs(5), ..redis.config() }
}

#[tokio::test]
async fn replicas_share_one_quota_and_nothing_of_it_is_spent_twice() {
    let redis = Server::start().await;
    for limit in ["40/1h", "400/1h"] {
        let edge = quota(limit, "1/1h");
        let one = World::limited(&patient(&redis), edge.clone()).await;
        let other = World::limited(&patient(&redis), edge).await;
        let member =
            format!("authorization: Bearer {}", Issuer::new().member(Clock::system().id()));
        let headers = [member.as_str()];
        let (a, b) = tokio::join!(
            admitted(one.at.http, 16, 40, &headers),
            admitted(other.at.http, 16, 40, &headers)
        );
        let limit: usize = limit.split('/').next().unwrap().parse().unwrap();
        assert_eq!(a + b, limit, "{a} + {b}");
    }
}

#[tokio::test]
async fn a_client_reads_what_it_has_left_and_when_to_come_back() {
    let redis = Server::start().await;
    let world = World::limited(&redis.config(), quota("2/1m", "1/1h")).await;
    let first = get(world.at.http, "/things").await;
    assert_eq!(first.header("ratelimit-policy"), "\"default\";q=2;w=60");
    assert_eq!(first.header("ratelimit"), "\"default\";r=1;t=30");
    let second = get(world.at.http, "/nowhere").await;
    assert_eq!((second.status, second.header("ratelimit")), (404, "\"default\";r=0;t=60"));

    for _ in 0..3 {
        let refused = get(world.at.http, "/things").await;
        assert_eq!(refused.verdict(), "429 rate_limited");
        let wait: u64 = refused.header("retry-after").parse().unwrap();
        assert!((28..=30).contains(&wait), "{wait}");
        assert!(refused.header("ratelimit").starts_with("\"default\";r=0;t="), "{refused:?}");
        let body = refused.json();
        assert_eq!((&body["retryable"], &body["outcome"]), (&true.into(), &"none".into()));
        assert_eq!(refused.header("x-content-type-options"), "nosniff");
        assert!(!refused.header("x-request-id").is_empty());
    }
    for probe in ["/live", "/ready", "/health"] {
        assert_ne!(get(world.at.http, probe).await.status, 429, "{probe}");
    }
    let metrics = get(world.at.admin, "/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    assert!(metrics.contains("rate_limit_refused_total{policy=\"default\"}"), "{metrics}");
}

#[tokio::test]
async fn a_quota_comes_back_with_time() {
    let redis = Server::start().await;
    let world = World::limited(&redis.config(), quota("2/1s", "1/1h")).await;
    let at = world.at.http;
    eventually(Duration::from_secs(5), || async {
        (get(at, "/things").await.status == 429).then_some(())
    })
    .await;
    eventually(Duration::from_secs(5), || async {
        (get(at, "/things").await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn members_are_counted_one_by_one_and_apart_from_their_address() {
    let redis = Server::start().await;
    let world = World::limited(&redis.config(), quota("3/1h", "1/1h")).await;
    let issuer = Issuer::new();
    let at = world.at.http;
    for _ in 0..2 {
        let token = format!("authorization: Bearer {}", issuer.member(Clock::system().id()));
        assert_eq!(admitted(at, 1, 5, &[&token]).await, 3);
    }
    // A client without a valid token is identified by its address.
    let forged = format!("authorization: Bearer {}x", issuer.member(Clock::system().id()));
    assert_eq!(admitted(at, 1, 5, &[&forged]).await, 3);
    assert_eq!(admitted(at, 1, 5, &[]).await, 0);
}

#[tokio::test]
async fn where_secrets_can_be_guessed_the_address_counts_and_less_is_allowed() {
    let redis = Server::start().await;
    let world = World::limited(&redis.config(), quota("100/1h", "2/1h")).await;
    let mut statuses = Vec::new();
    for _ in 0..4 {
        let token = format!("authorization: Bearer {}", Issuer::new().member(Clock::system().id()));
        let headers = [token.as_str(), "content-type: application/json"];
        let answer = exchange(world.at.http, &request("POST /echo", &headers, b"{}")).await;
        assert!(answer.header("ratelimit").starts_with("\"strict\";r="), "{answer:?}");
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(get(world.at.http, "/things").await.status, 200);
}

#[tokio::test]
async fn a_route_that_must_refuse_nobody_does_not() {
    let redis = Server::start().await;
    let world = World::limited(&redis.config(), quota("1/1h", "1/1h")).await;
    for _ in 0..5 {
        assert_eq!(get(world.at.http, "/broken").await.status, 500);
    }
}

#[tokio::test]
async fn a_forwarded_address_counts_only_when_a_proxy_of_ours_says_it() {
    let redis = Server::start().await;
    let world = World::limited(&redis.config(), quota("2/1h", "1/1h")).await;
    let mut statuses = Vec::new();
    for n in 1..=4 {
        let forwarded = format!("x-forwarded-for: 192.0.2.{n}");
        statuses.push(with(world.at.http, "/things", &[&forwarded]).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);

    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let edge = Edge { trusted_proxies: trusted, ..quota("2/1h", "1/1h") };
    let world = World::limited(&redis.config(), edge).await;
    for client in ["x-forwarded-for: 192.0.2.1", "x-forwarded-for: 6.6.6.6, 192.0.2.2"] {
        assert_eq!(admitted(world.at.http, 1, 4, &[client]).await, 2, "{client}");
    }
    // Addresses written by the client before the proxy's own are ignored.
    let lie = "x-forwarded-for: 7.7.7.7, 192.0.2.2";
    assert_eq!(with(world.at.http, "/things", &[lie]).await.status, 429);
}

#[tokio::test]
async fn without_redis_each_process_counts_for_itself() {
    let world = World::limited(&none(), quota("5/1h", "1/1h")).await;
    assert_eq!(admitted(world.at.http, 4, 5, &[]).await, 5);

    let mut redis = Server::start().await;
    let edge = quota("5/1h", "1/1h");
    let one = World::limited(&redis.config(), edge.clone()).await;
    let other = World::limited(&redis.config(), edge).await;
    assert_eq!(admitted(one.at.http, 1, 3, &[]).await, 3);
    redis.kill();
    let token = format!("authorization: Bearer {}", Issuer::new().member(Clock::system().id()));
    for world in [&one, &other] {
        assert_eq!(admitted(world.at.http, 4, 5, &[&token]).await, 5);
    }

    redis.restart().await;
    eventually(Duration::from_secs(10), || async {
        // A new member each time, until both replicas count together again.
        let token = format!("authorization: Bearer {}", Issuer::new().member(Clock::system().id()));
        let a = admitted(one.at.http, 2, 5, &[&token]).await;
        let b = admitted(other.at.http, 2, 5, &[&token]).await;
        (a + b == 5).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_redis_that_hangs_delays_a_request_by_one_timeout_at_most() {
    let redis = Server::start().await;
    let world = World::limited(&redis.config(), quota("1000/1h", "1/1h")).await;
    assert_eq!(get(world.at.http, "/things").await.status, 200);
    redis.freeze();
    let mut slowest = Duration::ZERO;
    for _ in 0..50 {
        let token = format!("authorization: Bearer {}", Issuer::new().member(Clock::system().id()));
        let began = Instant::now();
        assert_eq!(with(world.at.http, "/things", &[&token]).await.status, 200);
        slowest = slowest.max(began.elapsed());
    }
    redis.thaw();
    // The timeout is 50 ms; the rest is for a machine that builds and tests at once.
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
}

#[tokio::test]
async fn whatever_stands_in_redis_nobody_is_locked_out_for_longer_than_a_period() {
    let redis = Server::start().await;
    let mut raw = crate::data::redis_server::raw(&redis).await;
    let world = World::limited(&redis.config(), quota("3/1h", "1/1h")).await;
    for wrong in ["", "nan", "-inf", "inf", "9e99", "1:2", "\0\u{1}", "-5", "0x7fffffff"] {
        let member = Clock::system().id();
        let key = format!("points:limit:default:{member}");
        let set: () = redis::cmd("SET").arg(&key).arg(wrong).query_async(&mut raw).await.unwrap();
        let token = format!("authorization: Bearer {}", Issuer::new().member(member));
        let answer = with(world.at.http, "/things", &[&token]).await;
        assert!([200, 429].contains(&answer.status), "{wrong:?}: {answer:?} {set:?}");
        if answer.status == 429 {
            let wait: u64 = answer.header("retry-after").parse().unwrap();
            assert!(wait <= 3600 / 3, "{wrong:?}: {wait}");
        }
    }
    let member = Clock::system().id();
    let key = format!("points:limit:default:{member}");
    let _: () = redis::cmd("RPUSH").arg(&key).arg("a list").query_async(&mut raw).await.unwrap();
    let token = format!("authorization: Bearer {}", Issuer::new().member(member));
    assert_eq!(admitted(world.at.http, 1, 5, &[&token]).await, 3);
}

#[tokio::test]
async fn a_busy_client_and_a_flood_cost_redis_little() {
    let redis = Server::start().await;
    let mut raw = crate::data::redis_server::raw(&redis).await;
    let world = World::limited(&patient(&redis), quota("2000/1h", "1/1h")).await;
    let before = evals(&mut raw).await;
    let began = Instant::now();
    let admitted = admitted(world.at.http, 8, 400, &[]).await;
    // The quota refills meanwhile, by one in 1.8 s.
    let back = 1 + began.elapsed().as_secs() as usize;
    assert!((2000..=2000 + back).contains(&admitted), "{admitted}");
    let spent = evals(&mut raw).await - before;
    // A lease has 20, eight requests at a time may find it used up, and a lease ends after a second.
    assert!(spent < 1000, "{spent} commands for 3200 requests");
}

async fn evals(raw: &mut redis::aio::MultiplexedConnection) -> u64 {
    let stats: String = redis::cmd("INFO").arg("commandstats").query_async(raw).await.unwrap();
    let line = stats.lines().find_map(|line| line.strip_prefix("cmdstat_eval:calls="));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}
