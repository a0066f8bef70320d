//! Headers that every answer has.

use super::wire::{Answer, Client, exchange, get, request};
use super::world::World;

/// Returns our headers that must not depend on the answer.
fn security(answer: &Answer) -> Vec<(String, String)> {
    let names = [
        "cache-control",
        "content-security-policy",
        "referrer-policy",
        "strict-transport-security",
        "x-content-type-options",
        "x-frame-options",
    ];
    let mut headers = answer.headers.clone();
    headers.retain(|(name, _)| names.contains(&name.as_str()));
    headers.sort();
    assert_eq!(headers.len(), names.len(), "{answer:?}");
    headers
}

#[tokio::test]
async fn every_answer_has_the_same_security_headers() {
    let world = World::start().await;
    let at = world.at.http;
    let good = security(&get(at, "/things").await);
    for path in ["/nowhere", "/things/42", "/panic", "/health", "/live", "/ready", "/openapi.json"]
    {
        assert_eq!(security(&get(at, path).await), good, "{path}");
    }
    let wrong = exchange(at, &request("PUT /things", &[], b"")).await;
    assert_eq!(security(&wrong), good);
    let slow = exchange(at, b"POST /echo HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{").await;
    assert_eq!(slow.verdict(), "408 request_timeout");
    assert_eq!(security(&slow), good);
    assert_eq!(security(&get(world.at.admin, "/nowhere").await), good);
}

#[tokio::test]
async fn the_security_headers_are_what_browsers_need() {
    let world = World::start().await;
    for path in ["/things", "/nowhere", "/panic", "/ready"] {
        let answer = get(world.at.http, path).await;
        for (name, value) in [
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
            ),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
    }
    let docs = get(world.at.http, "/docs/").await;
    let policy = docs.header("content-security-policy");
    for part in ["default-src 'none';", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
}

#[tokio::test]
async fn a_panic_is_a_500_with_its_request_id_and_the_connection_goes_on() {
    let world = World::start().await;
    let mut client = Client::connect(world.at.http).await;
    client
        .send(&request("GET /panic", &["x-request-id: 0198c0de-0000-7000-8000-000000000001"], b""))
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.verdict(), "500 internal_error");
    assert_eq!(answer.header("content-type"), "application/problem+json");
    let body = answer.json();
    let id = body["request_id"].as_str().unwrap();
    assert_eq!(id, answer.header("x-request-id"));
    assert_eq!(id, "0198c0de-0000-7000-8000-000000000001");
    assert_eq!(body["outcome"], "unknown");
    assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "{body}");

    client.send(&request("GET /things", &[], b"")).await;
    assert_eq!(client.answer().await.status, 200);

    let metrics = get(world.at.admin, "/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    let counted = metrics.lines().any(|line| {
        line.starts_with("panic_by_endpoint_total")
            && line.contains("/panic")
            && line.ends_with(" 1")
    });
    assert!(counted, "{metrics}");
}

#[tokio::test]
async fn a_handler_that_hangs_is_given_up() {
    let world = World::start().await;
    let answer = get(world.at.http, "/hang").await;
    assert_eq!(answer.verdict(), "503 deadline_exceeded");
    assert_eq!(answer.header("retry-after"), "1");
    let body = answer.json();
    assert_eq!((&body["retryable"], &body["outcome"]), (&true.into(), &"unknown".into()));
}

#[tokio::test]
async fn the_documentation_needs_no_network() {
    let world = World::start().await;
    let at = world.at.http;
    assert_eq!(
        get(at, "/openapi.json").await.json()["openapi"].as_str().map(|v| &v[..2]),
        Some("3.")
    );
    let page = get(at, "/docs/").await;
    assert_eq!(page.status, 200);
    let html = String::from_utf8_lossy(&page.body).into_owned();
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self';"), "{policy}");
    for part in
        html.split(['"', '\'']).filter(|part| part.ends_with(".js") || part.ends_with(".css"))
    {
        let path = format!("/docs/{}", part.trim_start_matches("./"));
        assert_eq!(get(at, &path).await.status, 200, "{path}");
    }
}
