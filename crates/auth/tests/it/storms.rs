//! Refresh tokens with many clients at once, a lossy network, and servers that die.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use auth::hasher::Hasher;
use futures::future::join_all;
use kit::Clock;
use kit::caller::{Refused, Verifier};
use serde_json::{Value, json};
use sqlx::PgPool;
use testkit::eventually;
use testkit::http::Reply;
use testkit::redis::Server;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::app::{TestApp, open, redis as redis_of};

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn each_of_200_tokens_has_one_successor_though_50_ask_for_it_at_once(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let mut all = BTreeSet::new();
    for n in 1..=200 {
        let session = app.session("ada@example.org").await;
        let replies = join_all((0..50).map(|_| patiently(&app, &session))).await;
        let successors: BTreeSet<_> =
            replies.into_iter().map(|reply| token(&reply.expect(200).json())).collect();
        assert_eq!(successors.len(), 1, "of token {n}");
        all.extend(successors);
    }
    assert_eq!(all.len(), 200);
    let sql = "SELECT count(*) FROM session WHERE generation = 1 AND ended_at IS NULL";
    let exchanged_once: i64 = sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap();
    assert_eq!(exchanged_once, 200);
}

/// Forty-nine wait for one row: on a loaded machine some are refused, and try again.
async fn patiently(app: &TestApp, session: &Value) -> Reply {
    loop {
        let reply = app.refresh(session).await;
        if reply.status != 503 || reply.code() != "database_busy" {
            return reply;
        }
    }
}

/// Loses one of seven requests before they arrive, one of seven answers whole, and one of seven in the
/// middle.
async fn flaky(target: SocketAddr, lost: Arc<AtomicU64>) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        for n in 0_u64.. {
            let (client, _) = socket.accept().await.unwrap();
            let lost = Arc::clone(&lost);
            tokio::spawn(async move {
                // A client that hangs up is not a failure of the network.
                let _ = pass(client, target, n % 7, &lost).await;
            });
        }
    });
    address
}

async fn pass(
    mut client: TcpStream,
    target: SocketAddr,
    fate: u64,
    lost: &AtomicU64,
) -> std::io::Result<()> {
    let mut request = vec![0; 8192];
    let read = client.read(&mut request).await?;
    if fate == 0 {
        lost.fetch_add(1, Ordering::Relaxed);
        return Ok(());
    }
    let mut server = TcpStream::connect(target).await?;
    server.write_all(&request[..read]).await?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer).await?;
    let passed = match fate {
        1 => &[][..],
        2 => &answer[..answer.len() / 2],
        _ => &answer,
    };
    lost.fetch_add(u64::from(passed.len() < answer.len()), Ordering::Relaxed);
    client.write_all(passed).await
}

/// One exchange by a client on a bad line: repeated with the same token until there is an answer.
async fn insist(line: SocketAddr, refresh_token: &str) -> String {
    loop {
        let Ok(answer) = exchange(line, refresh_token).await else { continue };
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if length.is_none_or(|length| length.parse() != Ok(body.len())) {
            continue;
        }
        assert!(head.starts_with("HTTP/1.1 200"), "a spurious logout: {answer}");
        return token(&serde_json::from_str(body).unwrap());
    }
}

async fn exchange(line: SocketAddr, refresh_token: &str) -> std::io::Result<String> {
    let body = json!({ "refresh_token": refresh_token }).to_string();
    let request = format!(
        "POST /v1/refresh HTTP/1.1\r\nhost: auth\r\nuser-agent: phone\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut connection = TcpStream::connect(line).await?;
    connection.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn ten_thousand_refreshes_on_a_bad_line_sign_nobody_out(db: PgPool) {
    let app = TestApp::new(db).await;
    app.register("ada@example.org").await.expect(202);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = socket.local_addr().unwrap();
    let router = auth::http::router(app.auth.clone());
    tokio::spawn(async move { axum::serve(socket, router).await });
    let lost = Arc::new(AtomicU64::new(0));
    let line = flaky(server, Arc::clone(&lost)).await;

    let mut phones = Vec::new();
    for _ in 0..20 {
        let session = app.login_from("phone", "ada@example.org").await;
        phones.push(async move {
            let mut token = token(&session);
            for _ in 0..500 {
                let next = insist(line, &token).await;
                assert_ne!(next, token);
                token = next;
            }
        });
    }
    join_all(phones).await;

    let lost = lost.load(Ordering::Relaxed);
    assert!(lost > 5_000, "only {lost} were lost");
    let sql = "SELECT count(*) FROM session WHERE generation = 500 AND ended_at IS NULL";
    let alive: i64 = sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap();
    assert_eq!(alive, 20);
    let sql = "SELECT count(*) FROM security_event WHERE kind = 'refresh_reused'";
    let accused: i64 = sqlx::query_scalar(sql).fetch_one(&app.db).await.unwrap();
    assert_eq!(accused, 0);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn a_copied_family_is_dead_everywhere_in_a_second_and_stays_dead(db: PgPool) {
    let server = Server::start().await;
    let app = TestApp::beside(db.clone(), &server).await;
    let jobs = app.start_jobs();
    app.register("ada@example.org").await.expect(202);
    let points = app.verifier_of("points").following(&redis_of(&server, "points"));

    let mut family = vec![app.session("ada@example.org").await];
    for n in 0..3 {
        family.push(app.refresh(&family[n]).await.expect(200).json());
    }
    let alive = app.session("ada@example.org").await;
    for member in &family {
        points.member(access(member)).await.unwrap();
    }
    // Far beyond the grace, by any clock.
    let sql = "UPDATE session SET rotated_at = rotated_at - interval '11 seconds'";
    sqlx::query(sql).execute(&app.db).await.unwrap();
    assert_eq!(app.refresh(&family[2]).await.expect(401).code(), "refresh_token_reused");

    let dead = async |verifier: &Verifier, limit| {
        for member in &family {
            eventually(limit, || async {
                let refused = verifier.member(access(member)).await.err();
                (refused == Some(Refused::Revoked)).then_some(())
            })
            .await;
        }
        verifier.member(access(&alive)).await.unwrap();
    };
    dead(&points, Duration::from_secs(1)).await;

    // Redis loses its data and continues: a reader that starts afterwards still learns of the logout.
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    dead(
        &app.verifier_of("points").following(&redis_of(&server, "points")),
        Duration::from_secs(5),
    )
    .await;

    // The same holds when auth was down meanwhile.
    drop(jobs);
    let () = redis::cmd("FLUSHALL").query_async(&mut connection).await.unwrap();
    let auth = TestApp::beside(db, &server).await;
    let _jobs = auth.start_jobs();
    dead(
        &auth.verifier_of("points").following(&redis_of(&server, "points")),
        Duration::from_secs(5),
    )
    .await;
    for member in &family {
        let code = auth.refresh(member).await.expect(401).code();
        assert_eq!(code, "session_revoked");
        let me = auth.api.get("/v1/me").bearer(access(member)).send().await.expect(401);
        assert_eq!(me.code(), "session_revoked");
    }
    auth.refresh(&alive).await.expect(200);
}

#[sqlx::test(migrator = "auth::MIGRATOR")]
async fn two_replicas_give_one_successor(db: PgPool) {
    let one = TestApp::new(db.clone()).await;
    let two = open(&db, Clock::system(), Hasher::new(), 1).await.unwrap();
    let two = testkit::http::Api::new(auth::http::router(two));
    one.register("ada@example.org").await.expect(202);
    for _ in 0..20 {
        let session = one.session("ada@example.org").await;
        let here = join_all((0..5).map(|_| one.refresh(&session)));
        let there = join_all((0..5).map(|_| crate::app::refresh(&two, &session, "phone")));
        let (here, there) = futures::join!(here, there);
        let successors: BTreeSet<_> =
            here.into_iter().chain(there).map(|reply| token(&reply.expect(200).json())).collect();
        assert_eq!(successors.len(), 1);
    }
}

fn token(session: &Value) -> String {
    session["refresh_token"].as_str().unwrap().to_owned()
}

fn access(session: &Value) -> &str {
    session["access_token"].as_str().unwrap()
}
