//! Calls to other services.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use kit::deadline;
use kit::grpc::Peer;
use kit::http::{Limits, edge_with};
use proto::points::v1::EarnRequest;
use proto::points::v1::points_client::PointsClient;
use testkit::auth::{FakeAuth, config};
use testkit::eventually;
use testkit::grpc::{free_port, listen, listen_on, silent};
use testkit::http::Api;
use testkit::tokens::Issuer;
use tokio::time::Instant;
use tonic::{Code, Request};

use super::guard::mirror_for_booking;

struct Neighbors {
    auth: FakeAuth,
    auth_url: testkit::grpc::Listening,
    points: testkit::grpc::Listening,
}

async fn neighbors() -> Neighbors {
    let issuer = Issuer::new();
    let auth = FakeAuth::new(issuer.clone());
    let auth_url = auth.listen().await;
    let points = listen(mirror_for_booking(issuer.verifier())).await;
    Neighbors { auth, auth_url, points }
}

fn client(url: &str, auth_url: &str) -> PointsClient<Peer> {
    PointsClient::new(Peer::new(url, &config(auth_url, "booking")).unwrap())
}

#[tokio::test]
async fn a_call_brings_our_own_token_and_two_seconds() {
    let neighbors = neighbors().await;
    let mut client = client(&neighbors.points.url, &neighbors.auth_url.url);
    let reply = client.earn(EarnRequest::default()).await.unwrap().into_inner();
    assert_eq!(reply.entry_id, "booking");
    assert!((1000..=2000).contains(&reply.balance), "{} ms left", reply.balance);
}

#[tokio::test]
async fn calls_at_once_fetch_one_token() {
    let neighbors = neighbors().await;
    let client = client(&neighbors.points.url, &neighbors.auth_url.url);
    let calls = (0..50).map(|_| {
        let mut client = client.clone();
        async move { client.earn(EarnRequest::default()).await }
    });
    for reply in futures::future::join_all(calls).await {
        reply.unwrap();
    }
    assert_eq!(neighbors.auth.issued(), 1);
}

#[tokio::test]
async fn a_call_gets_no_more_time_than_its_request_has() {
    let neighbors = neighbors().await;
    let mut client = client(&neighbors.points.url, &neighbors.auth_url.url);
    let by = Instant::now() + Duration::from_millis(700);

    let reply = deadline::within(by, client.earn(EarnRequest::default())).await.unwrap();
    assert!(reply.into_inner().balance <= 700);

    let mut own = Request::new(EarnRequest::default());
    own.set_timeout(Duration::from_millis(300));
    assert!(client.earn(own).await.unwrap().into_inner().balance <= 300);

    let over = deadline::within(Instant::now(), client.earn(EarnRequest::default())).await;
    assert_eq!(over.unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_command_in_its_own_task_keeps_the_deadline() {
    let by = Instant::now() + Duration::from_millis(700);
    let seen = deadline::within(by, kit::command::run(async { deadline::current() })).await;
    assert_eq!(seen, Some(by));
}

#[tokio::test]
async fn a_request_over_http_has_a_deadline_to_hand_on() {
    async fn left() -> String {
        deadline::remaining().unwrap().as_millis().to_string()
    }
    let limits = Limits { request_timeout: Duration::from_millis(700), ..Limits::default() };
    let routes = Router::new().route("/left", get(left));
    let openapi = utoipa::openapi::OpenApi::default();
    let api = Api::new(edge_with(limits, routes, openapi, Issuer::new().verifier()));
    let left: u64 = api.get("/left").send().await.expect(200).text().parse().unwrap();
    assert!((1..=700).contains(&left), "{left} ms left");
}

#[tokio::test]
async fn a_peer_that_hangs_costs_its_deadline_and_no_more() {
    let neighbors = neighbors().await;
    let silent = silent().await;
    let mut client = client(&silent.url, &neighbors.auth_url.url);
    let mut request = Request::new(EarnRequest::default());
    request.set_timeout(Duration::from_millis(300));

    let started = Instant::now();
    let late = client.earn(request).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded, "{late}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_peer_that_is_away_is_unavailable_and_found_again() {
    let neighbors = neighbors().await;
    let (port, url) = free_port().await;
    let client = client(&url, &neighbors.auth_url.url);
    let away = client.clone().earn(EarnRequest::default()).await.unwrap_err();
    assert_eq!(away.code(), Code::Unavailable, "{away}");

    let _points = listen_on(port, mirror_for_booking(Issuer::new().verifier())).await;
    let again = || {
        let mut client = client.clone();
        async move { client.earn(EarnRequest::default()).await.ok() }
    };
    eventually(Duration::from_secs(5), again).await;
}

#[tokio::test]
async fn without_auth_a_call_is_unavailable_soon_and_works_again_with_it() {
    let neighbors = neighbors().await;
    let (port, auth_url) = free_port().await;
    let client = client(&neighbors.points.url, &auth_url);

    let started = Instant::now();
    let calls = (0..50).map(|_| {
        let mut client = client.clone();
        async move { client.earn(EarnRequest::default()).await.unwrap_err() }
    });
    for refused in futures::future::join_all(calls).await {
        assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    }
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    let _auth = listen_on(port, neighbors.auth.routes()).await;
    let again = || {
        let mut client = client.clone();
        async move { client.earn(EarnRequest::default()).await.ok() }
    };
    eventually(Duration::from_secs(5), again).await;
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced() {
    let neighbors = neighbors().await;
    let stranger = Issuer::with_key("test-key", [9; 32], kit::Clock::system());
    neighbors.auth.rotate_to(stranger);
    let mut client = client(&neighbors.points.url, &neighbors.auth_url.url);
    let refused = client.earn(EarnRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);

    neighbors.auth.rotate_to(Issuer::new());
    client.earn(EarnRequest::default()).await.unwrap();
    assert_eq!(neighbors.auth.issued(), 2);
}

#[tokio::test]
async fn a_token_is_renewed_while_the_old_one_still_serves() {
    let neighbors = neighbors().await;
    neighbors.auth.tokens_live_for(Duration::from_secs(1));
    let client = client(&neighbors.points.url, &neighbors.auth_url.url);
    client.clone().earn(EarnRequest::default()).await.unwrap();

    // From 0.7 s on a call renews it in the background.
    let renewed = || {
        let (auth, mut client) = (neighbors.auth.clone(), client.clone());
        async move {
            client.earn(EarnRequest::default()).await.unwrap();
            (auth.issued() > 1).then_some(())
        }
    };
    eventually(Duration::from_secs(5), renewed).await;
}
