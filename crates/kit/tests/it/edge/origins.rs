//! Pages of other sites, in browsers.

use kit::config::Edge;
use kit::http::Origins;
use testkit::redis::none;

use super::wire::{Answer, exchange, request};
use super::world::World;

const APP: &str = "https://app.good.example";

async fn world(origins: &[&str]) -> World {
    World::limited(&none(), edge(origins)).await
}

fn edge(origins: &[&str]) -> Edge {
    let cors_allowed_origins = origins.iter().map(|origin| origin.parse().unwrap()).collect();
    Edge { cors_allowed_origins, ..Edge::default() }
}

async fn ask(world: &World, line: &str, origin: &str, more: &[&str]) -> Answer {
    let origin = format!("Origin: {origin}");
    let headers: Vec<&str> = [origin.as_str()].into_iter().chain(more.iter().copied()).collect();
    exchange(world.at.http, &request(line, &headers, b"")).await
}

async fn preflight(world: &World, origin: &str) -> Answer {
    let wanted = [
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization,idempotency-key",
    ];
    ask(world, "OPTIONS /things", origin, &wanted).await
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_call_and_read_every_answer() {
    let world = world(&["https://other.example", APP]).await;
    let asked = preflight(&world, APP).await;
    assert_eq!(asked.status, 200);
    assert_eq!(asked.header("access-control-allow-origin"), APP);
    assert_eq!(asked.header("access-control-allow-methods"), "GET,POST,PUT,PATCH,DELETE");
    assert_eq!(asked.header("access-control-max-age"), "600");
    let headers = asked.header("access-control-allow-headers");
    for header in ["authorization", "content-type", "idempotency-key", "if-match"] {
        assert!(headers.split(',').any(|allowed| allowed == header), "{header}: {headers}");
    }
    assert_eq!(asked.header("x-content-type-options"), "nosniff");

    for line in ["GET /things", "GET /nowhere", "PUT /things", "GET /things/42", "GET /broken"] {
        let answer = ask(&world, line, APP, &[]).await;
        assert_eq!(answer.header("access-control-allow-origin"), APP, "{line}");
        assert!(answer.header("vary").to_lowercase().contains("origin"), "{line}: {answer:?}");
        assert!(answer.header("access-control-expose-headers").contains("ratelimit"), "{line}");
    }
}

#[tokio::test]
async fn a_page_of_any_other_origin_reads_nothing() {
    let world = world(&[APP]).await;
    for origin in [
        "null",
        "https://good.example",
        "https://app.good.example.evil",
        "https://evilapp.good.example",
        "http://app.good.example",
        "https://app.good.example:8443",
        "https://APP.good.example",
        "*",
        "",
    ] {
        for answer in
            [preflight(&world, origin).await, ask(&world, "GET /things", origin, &[]).await]
        {
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn without_origins_no_page_may_anything() {
    let world = world(&[]).await;
    let asked = preflight(&world, APP).await;
    assert_eq!(asked.verdict(), "405 method_not_allowed");
    for answer in [asked, ask(&world, "GET /things", APP, &[]).await] {
        let said = answer.headers.iter().find(|(name, _)| name.starts_with("access-control"));
        assert_eq!(said, None);
    }
}

#[tokio::test]
async fn only_a_service_that_says_so_takes_the_cookies_of_another_origins_page() {
    for (origins, allowed, cookies) in [
        (Origins::Refused, "", ""),
        (Origins::Anonymous, APP, ""),
        (Origins::WithCookies, APP, "true"),
    ] {
        let world = World::shared(&none(), edge(&[APP]), origins).await;
        for answer in [preflight(&world, APP).await, ask(&world, "GET /things", APP, &[]).await] {
            assert_eq!(answer.header("access-control-allow-origin"), allowed, "{origins:?}");
            assert_eq!(answer.header("access-control-allow-credentials"), cookies, "{origins:?}");
        }
    }
}
