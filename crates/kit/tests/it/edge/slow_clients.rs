//! Slow clients are disconnected in time, and others are not affected.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::{join, join_all};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, interval, timeout};

use super::wire::{Client, get, request};
use super::world::World;

/// The limits of `world` are 300 to 500 ms; this is far below the 5 s of production.
const IN_TIME: Duration = Duration::from_secs(3);

async fn closed_in_time(mut client: Client) -> String {
    let started = Instant::now();
    let text = client.until_closed().await;
    assert!(started.elapsed() < IN_TIME, "closed after {:?}", started.elapsed());
    text
}

async fn sends(world: &World, bytes: &[u8]) -> Client {
    let mut client = Client::connect(world.at.http).await;
    client.send(bytes).await;
    client
}

/// Sends one byte of the head from time to time: each in time, but never the whole head.
async fn drips(world: &World) {
    let mut client = sends(world, b"GET /things HTTP/1.1\r\nX: ").await;
    let started = Instant::now();
    let mut tick = interval(Duration::from_millis(50));
    while !client.is_closed() {
        assert!(started.elapsed() < IN_TIME, "still open");
        tick.tick().await;
        client.send(b"y").await;
    }
}

#[tokio::test]
async fn every_kind_of_slow_client_is_cut_off() {
    let world = World::start().await;
    let silent = Client::connect(world.at.http).await;
    let partial = sends(&world, b"GET /things HTTP/1.1\r\nHos").await;
    let preface = sends(&world, b"PRI * HTTP/2.0\r\n").await;
    let http2 = sends(&world, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let mut idle = sends(&world, &request("GET /things", &[], b"")).await;
    assert_eq!(idle.answer().await.status, 200);
    let head = "POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{";
    let body = sends(&world, head.as_bytes()).await;
    let quiet = [silent, partial, preface, http2, idle].map(closed_in_time);
    let (_, (slow, ())) = join(join_all(quiet), join(closed_in_time(body), drips(&world))).await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
}

#[tokio::test]
async fn a_silent_client_of_the_other_ports_is_cut_off_too() {
    let world = World::start().await;
    for address in [world.at.grpc, world.at.admin] {
        closed_in_time(Client::connect(address).await).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let world = World::start().await;
    let mut client = Client::connect(world.at.http).await;
    // Far more answers than the buffers of two sockets hold; the client reads none of them.
    let many = request("GET /docs/swagger-ui-bundle.js", &[], b"").repeat(40);
    client.send(&many).await;
    let started = Instant::now();
    client.peer_gave_up().await;
    assert!(started.elapsed() < IN_TIME, "{:?}", started.elapsed());
}

#[tokio::test]
async fn five_hundred_slow_clients_do_not_delay_an_honest_one() {
    let world = World::start().await;
    let slow = (0..500).map(|n| {
        let head: &[u8] = if n % 2 == 0 { b"" } else { b"GET /things HTTP/1.1\r\nX: " };
        sends(&world, head)
    });
    let slow = join_all(slow).await;
    let honest = async {
        for _ in 0..50 {
            let started = Instant::now();
            assert_eq!(get(world.at.http, "/things").await.status, 200);
            assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
        }
    };
    let (_, ()) = join(join_all(slow.into_iter().map(closed_in_time)), honest).await;
}

#[tokio::test]
async fn a_slow_handler_is_not_a_slow_client() {
    let world = World::start().await;
    let mut client = sends(&world, &request("GET /wait", &[], b"")).await;
    world.seen.waiting.notified().await;
    // Longer than every limit for clients.
    tokio::time::sleep(Duration::from_millis(900)).await;
    world.seen.go_on.notify_one();
    assert_eq!(client.answer().await.status, 200);
}

/// Such as a page's stream of changes, during which the client sends nothing.
#[tokio::test]
async fn an_answer_that_comes_in_pieces_may_take_its_time() {
    let world = World::start().await;
    let mut client = sends(&world, &request("GET /trickle", &["Connection: close"], b"")).await;
    let answer = client.until_closed().await;
    assert_eq!(answer.matches("piece ").count(), 10, "{answer}");
    assert!(answer.ends_with("\r\n0\r\n\r\n"), "{answer}");
}

/// An HTTP/2 client that keeps its connection alive in every way, and requests nothing.
struct Pinging {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Pinging {
    async fn connect(address: SocketAddr) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let settings = frame(4, 0, &[]);
        socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        socket.write_all(&settings).await.unwrap();
        Self { socket, unread: Vec::new() }
    }

    /// Sends a ping, and answers the server's. Returns false when the connection has ended.
    async fn stay(&mut self) -> bool {
        if self.socket.write_all(&frame(6, 0, b"stay here")).await.is_err() {
            return false;
        }
        let mut bytes = [0; 4096];
        let Ok(read) = timeout(Duration::from_millis(50), self.socket.read(&mut bytes)).await
        else {
            return true;
        };
        let Ok(1..) = read else { return false };
        self.unread.extend(&bytes[..read.unwrap()]);
        while self.unread.len() >= 9 {
            let length = usize::from(self.unread[1]) << 8 | usize::from(self.unread[2]);
            if self.unread.len() < 9 + length {
                break;
            }
            let whole: Vec<u8> = self.unread.drain(..9 + length).collect();
            let answer = match (whole[3], whole[4] & 1) {
                (4, 0) => frame(4, 1, &[]),
                (6, 0) => frame(6, 1, &whole[9..]),
                _ => continue,
            };
            let _ = self.socket.write_all(&answer).await;
        }
        true
    }
}

/// Returns a frame of the whole connection.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(8)];
    let mut frame = vec![0, 0, payload.len() as u8, kind, flags, 0, 0, 0, 0];
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn a_client_that_only_pings_is_cut_off() {
    let world = World::start().await;
    for address in [world.at.http, world.at.admin] {
        let mut client = Pinging::connect(address).await;
        let started = Instant::now();
        while client.stay().await {
            assert!(started.elapsed() < IN_TIME, "still open");
        }
        // It was allowed as long as a silent client, and not cut off for its pings.
        assert!(started.elapsed() > Duration::from_millis(800), "{:?}", started.elapsed());
    }
}
