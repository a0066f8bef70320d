//! A stop finishes work in flight, and no client can delay it.

use std::time::Duration;

use axum::http::Method;
use kit::config::Limits;
use sqlx::postgres::PgPoolOptions;
use testkit::eventually;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::wire::{Client, get, request};
use super::world::{World, limits};

async fn public_port_closed(world: &World) {
    eventually(Duration::from_secs(5), || async { TcpStream::connect(world.at.http).await.err() })
        .await;
}

#[tokio::test]
async fn a_request_in_flight_is_answered_and_new_ones_are_not_taken() {
    let world = World::start().await;
    let mut client = Client::connect(world.at.http).await;
    client.send(&request("GET /wait", &[], b"")).await;
    world.seen.waiting.notified().await;

    world.stop.cancel();
    public_port_closed(&world).await;
    let ready = get(world.at.admin, "/ready").await;
    assert_eq!((ready.status, ready.json()["status"].as_str()), (503, Some("stopping")));
    assert_eq!(get(world.at.admin, "/live").await.status, 200);

    world.seen.go_on.notify_one();
    assert_eq!(client.answer().await.json()["waited"], true);
    timeout(Duration::from_secs(1), world.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn sockets_that_hang_do_not_hold_up_the_stop() {
    // Client limits so long that only the drain's own deadline can help.
    let forever = Duration::from_secs(600);
    let limits = Limits { first_byte_timeout: forever, header_timeout: forever, ..limits() };
    let nowhere = PgPoolOptions::new().connect_lazy("postgres://x@127.0.0.1:1/x").unwrap();
    let world = World::with(nowhere, &kit::config::Redis::new(None), limits).await;
    let _bare = (Client::connect(world.at.grpc).await, Client::connect(world.at.http).await);
    let mut half = Client::connect(world.at.http).await;
    half.send(b"GET /things HTTP/1.1\r\nHos").await;
    let mut hanging = Client::connect(world.at.http).await;
    hanging.send(&request("GET /wait", &[], b"")).await;
    world.seen.waiting.notified().await;

    let started = Instant::now();
    world.stop.cancel();
    world.served.await.unwrap();
    let took = started.elapsed();
    assert!(took >= limits.drain_timeout, "left a request behind after {took:?}");
    assert!(took < limits.drain_timeout + Duration::from_secs(1), "{took:?}");
}

#[tokio::test]
async fn a_command_whose_client_is_gone_still_ends_before_the_process() {
    let mut world = World::start().await;
    let (go_on, done) = (tokio::sync::oneshot::channel::<()>(), tokio::sync::oneshot::channel());
    let command = tokio::spawn(kit::command::run(async move {
        let _ = go_on.1.await;
        let _ = done.0.send(());
    }));
    tokio::task::yield_now().await;
    command.abort();
    world.stop.cancel();
    let early = timeout(Duration::from_millis(300), &mut world.served).await;
    assert!(early.is_err(), "the servers did not wait for the command");
    go_on.0.send(()).unwrap();
    world.served.await.unwrap();
    done.1.await.unwrap();
}

#[tokio::test]
async fn a_write_goes_on_without_its_client_and_a_read_does_not() {
    let world = World::start().await;
    for method in ["POST", "GET"] {
        let mut client = Client::connect(world.at.http).await;
        client.send(&request(&format!("{method} /wait"), &[], b"")).await;
        world.seen.waiting.notified().await;
    }
    // Both clients are gone: the read ends, the write takes what it waits for.
    let dropped = || world.seen.dropped.lock().unwrap().clone();
    eventually(Duration::from_secs(5), || async { dropped().contains(&Method::GET).then_some(()) })
        .await;
    world.seen.go_on.notify_one();
    eventually(Duration::from_secs(5), || async { (world.stored() == 1).then_some(()) }).await;
    assert_eq!(dropped(), [Method::GET]);
    world.stop.cancel();
}
