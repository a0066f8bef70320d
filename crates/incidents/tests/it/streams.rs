//! The stream of changes is public, is limited per address, and cannot be read by other sites.

use std::net::SocketAddr;
use std::time::Duration;

use futures::future::join_all;
use kit::config::Edge;
use reqwest::{Client, Response};
use sqlx::PgPool;
use testkit::eventually;

use crate::app::{CONNECTIONS, TOKEN, TestApp, firing, payload};

/// The edge behind a proxy that forwards the client's address.
fn edge() -> Edge {
    Edge { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..Edge::default() }
}

/// Opens streams from an address, each on a connection of its own. Returns those that are admitted.
async fn open(at: SocketAddr, from: &str, many: usize) -> Vec<Response> {
    let one = || {
        let call = Client::new().get(format!("http://{at}/changes"));
        let call = call.header("accept", "text/event-stream").header("x-forwarded-for", from);
        call.timeout(Duration::from_secs(30)).send()
    };
    let replies = join_all((0..many).map(|_| one())).await.into_iter().map(Result::unwrap);
    let (open, refused): (Vec<_>, Vec<_>) = replies.partition(|reply| reply.status() == 200);
    for reply in refused {
        assert_eq!(
            (reply.status().as_u16(), &reply.headers()["retry-after"]),
            (429, &"30".parse().unwrap())
        );
    }
    open
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn streams_leave_connections_for_alertmanager_and_the_console(db: PgPool) {
    let app = TestApp::new(db);
    let (at, _stop) = app.serve(edge());
    // More than the port accepts, from one address, and then from others.
    let first = open(at, "192.0.2.1", CONNECTIONS + 10).await;
    assert_eq!(first.len(), 32, "from one address");
    let mut others = Vec::new();
    for n in 2..6 {
        others.extend(open(at, &format!("192.0.2.{n}"), 20).await);
    }
    assert_eq!(first.len() + others.len(), CONNECTIONS / 4, "from all addresses");

    let client = Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
    let alerts = client.post(format!("http://{at}/v1/alerts")).bearer_auth(TOKEN);
    let reply = alerts.json(&payload(&[firing("a")])).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    let console = client.get(format!("http://{at}/console/login")).send().await.unwrap();
    assert_eq!(console.status(), 200);
    // A closed stream makes room for another.
    drop((first, others));
    eventually(Duration::from_secs(15), || async {
        (open(at, "192.0.2.9", 1).await.len() == 1).then_some(())
    })
    .await;
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_page_of_another_origin_reads_nothing_here(db: PgPool) {
    let app = TestApp::new(db);
    let origin = "https://app.good.example";
    let cors_allowed_origins = vec![origin.parse().unwrap()];
    let (at, _stop) = app.serve(Edge { cors_allowed_origins, ..Edge::default() });
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    for path in [
        "/",
        "/console",
        "/console/login",
        "/assets/site.css",
        "/v1/status",
        "/v1/incidents",
        "/nothing",
    ] {
        for method in [reqwest::Method::GET, reqwest::Method::OPTIONS] {
            let call =
                client.request(method, format!("http://{at}{path}")).header("origin", origin);
            let call = call.header("access-control-request-method", "GET");
            let reply = call.send().await.unwrap();
            let said =
                reply.headers().keys().find(|name| name.as_str().starts_with("access-control"));
            assert_eq!(said, None, "{path}");
        }
    }
}
