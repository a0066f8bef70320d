//! More connections than the port has room for: they wait, at no cost.

use std::net::SocketAddr;
use std::time::Duration;

use kit::config::{self, Limits};
use kit::http::Origins;
use sqlx::postgres::PgPoolOptions;
use testkit::eventually;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Child;
use tokio::time::{sleep, timeout};

use super::process::{free_port, smallest_with_descriptors, smallest_with_soft_limit, with_ports};
use super::world::{World, limits};

/// The first bytes of an HTTP/2 client; a server answers them with its settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

#[tokio::test]
async fn each_port_takes_as_many_connections_as_it_may() {
    let forever = Duration::from_secs(600);
    let limits = Limits { max_connections: 2, first_byte_timeout: forever, ..limits() };
    let nowhere = PgPoolOptions::new().connect_lazy("postgres://x@127.0.0.1:1/x").unwrap();
    let world = World::with(nowhere, &config::Redis::new(None), limits).await;
    for address in [world.at.http, world.at.grpc] {
        let first = TcpStream::connect(address).await.unwrap();
        let _second = TcpStream::connect(address).await.unwrap();
        let mut third = TcpStream::connect(address).await.unwrap();
        third.write_all(PREFACE).await.unwrap();
        let served = timeout(Duration::from_millis(300), third.readable()).await;
        assert!(served.is_err(), "{address} serves a third connection");
        drop(first);
        timeout(Duration::from_secs(5), third.read_u8()).await.unwrap().unwrap();
    }
    // A full public port does not make the process unhealthy.
    assert_eq!(super::wire::get(world.at.admin, "/live").await.status, 200);
}

#[tokio::test]
async fn a_process_without_file_descriptors_waits_and_does_not_spin() {
    for port in 0..2 {
        let ports = [free_port().await, free_port().await];
        let child = smallest_with_descriptors(40, &with_ports(ports)).spawn().unwrap();
        eventually(Duration::from_secs(10), || async {
            TcpStream::connect(ports[port]).await.ok()
        })
        .await;
        let _crowd = crowd(ports[port]).await;
        let before = processor_time(&child).await;
        sleep(Duration::from_secs(1)).await; // measures one second of processor time
        let spent = processor_time(&child).await - before;
        assert!(spent < Duration::from_millis(100), "port {port}: {spent:?} of a second");
    }
}

#[tokio::test]
async fn a_process_raises_its_limit_of_open_files() {
    let ports = [free_port().await, free_port().await];
    // Idle connections are not closed to make room for others.
    let mut variables = with_ports(ports);
    variables.push(("HEADER_TIMEOUT", "60s"));
    let _child = smallest_with_soft_limit(40, &variables).spawn().unwrap();
    eventually(Duration::from_secs(10), || async { TcpStream::connect(ports[0]).await.ok() }).await;
    let mut connections = crowd(ports[0]).await;
    for connection in &mut connections {
        connection.write_all(b"GET /live HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
        let answered = timeout(Duration::from_secs(5), connection.read_u8()).await;
        assert_eq!(answered.expect("an answer").unwrap(), b'H');
    }
}

#[tokio::test]
async fn an_address_has_only_its_share_of_the_connections() {
    let world = |edge| async {
        let forever = Duration::from_secs(600);
        let share = Limits {
            max_connections_per_address: 3,
            first_byte_timeout: forever,
            header_timeout: forever,
            ..limits()
        };
        let nowhere = PgPoolOptions::new().connect_lazy("postgres://x@127.0.0.1:1/x").unwrap();
        World::behind(nowhere, &config::Redis::new(None), share, edge, Origins::Anonymous).await
    };
    let closed = async |connection: &mut TcpStream| {
        let byte = timeout(Duration::from_millis(500), connection.read_u8()).await;
        byte.is_ok_and(|byte| byte.is_err())
    };
    let crowded = world(config::Edge::default()).await;
    let mut first = Vec::new();
    for _ in 0..3 {
        first.push(TcpStream::connect(crowded.at.http).await.unwrap());
    }
    let mut fourth = TcpStream::connect(crowded.at.http).await.unwrap();
    assert!(closed(&mut fourth).await, "a fourth connection of one address");
    assert!(!closed(&mut first[0]).await);
    let elsewhere = TcpSocket::new_v4().unwrap();
    elsewhere.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut elsewhere = elsewhere.connect(crowded.at.http).await.unwrap();
    elsewhere.write_all(b"GET /live HTTP/1.1\r\nHost: t\r\n\r\n").await.unwrap();
    assert_eq!(elsewhere.read_u8().await.unwrap(), b'H', "another address is served");
    // A place is free again when its connection ends.
    drop(first.pop());
    eventually(Duration::from_secs(5), || async {
        let mut again = TcpStream::connect(crowded.at.http).await.ok()?;
        (!closed(&mut again).await).then_some(())
    })
    .await;

    // A trusted proxy stands for many clients.
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let proxied = world(config::Edge { trusted_proxies, ..config::Edge::default() }).await;
    let mut connections = Vec::new();
    for _ in 0..5 {
        connections.push(TcpStream::connect(proxied.at.http).await.unwrap());
    }
    assert!(!closed(connections.last_mut().unwrap()).await);
}

/// Opens more connections than the process may have files.
async fn crowd(address: SocketAddr) -> Vec<TcpStream> {
    let mut crowd = Vec::new();
    for _ in 0..60 {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    crowd
}

/// Returns the processor time of a process so far, from `/proc/<pid>/stat`, in hundredths of a second.
async fn processor_time(child: &Child) -> Duration {
    let stat = format!("/proc/{}/stat", child.id().unwrap());
    let stat = tokio::fs::read_to_string(stat).await.unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let ticks = after_name.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
    Duration::from_millis(10 * ticks.sum::<u64>())
}
