//! Errors as pages in a browser, and as JSON for programs.

use kit::config::Edge;
use serde_json::Value;
use sqlx::PgPool;
use testkit::http::Reply;
use testkit::postgres::app_pool;
use tokio_util::sync::DropGuard;

use crate::app::TestApp;

/// The `Accept` of Firefox and Chromium.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// Returns the headline of a well-formed page.
fn headline(page: &str) -> String {
    for part in ["<html lang=\"en\">", "<main id=\"content\"", "role=\"alert\"", "href=\"/\""] {
        assert!(page.contains(part), "{part}: {page}");
    }
    // The page has no script: it would only load the same error again.
    assert!(!page.contains("<script") && !page.contains("up to date"), "{page}");
    let (_, rest) = page.split_once("<h1>").unwrap();
    rest.split_once("</h1>").unwrap().0.to_owned()
}

fn is_page(reply: &Reply) {
    assert_eq!(reply.header("content-type"), "text/html; charset=utf-8");
    assert!(reply.header("content-security-policy").contains("style-src 'self'"));
    let request = reply.header("x-request-id");
    assert!(!request.is_empty() && reply.text().contains(request), "{}", reply.text());
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_unknown_address_is_a_page_in_a_browser_and_a_problem_for_a_program(db: PgPool) {
    let app = TestApp::new(db);
    for path in ["/nothing", "/v1/nothing", "/console/nothing", "/assets/nothing"] {
        let reply = app.api.get(path).header("accept", BROWSER).send().await.expect(404);
        is_page(&reply);
        assert_eq!(headline(&reply.text()), "Page not found", "{path}");
        assert!(reply.text().contains("Check the address"), "{}", reply.text());
        assert_eq!(reply.text().contains("href=\"/console\""), path.starts_with("/console"));
    }
    let reply = app.api.get("/console/logout").header("accept", BROWSER).send().await.expect(405);
    assert_eq!(headline(&reply.text()), "Page not found");
    for accept in ["*/*", "application/json", "application/json, text/html"] {
        let reply = app.api.get("/nothing").header("accept", accept).send().await.expect(404);
        assert_eq!(reply.header("content-type"), "application/problem+json", "{accept}");
        assert_eq!(reply.json()["code"], "not_found");
        assert!(!reply.header("content-security-policy").contains("style-src"));
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn what_is_our_fault_says_so_and_nothing_of_the_inside(db: PgPool) {
    let app = TestApp::new(db);
    sqlx::query("ALTER TABLE incident RENAME TO gone").execute(&app.db).await.unwrap();
    for path in ["/", "/?page=%22%3E%3Cscript%3E"] {
        let reply = app.api.get(path).header("accept", BROWSER).send().await.expect(500);
        is_page(&reply);
        assert_eq!(headline(&reply.text()), "Something went wrong");
        assert!(reply.text().contains(">Try again</a>"), "{}", reply.text());
        assert!(!reply.text().contains("gone") && !reply.text().contains("relation"));
    }
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn a_dependency_that_is_away_is_a_page_too(db: PgPool) {
    let pool = app_pool(&db, "incidents_app");
    pool.close().await;
    let app = TestApp::on(pool, db);
    let reply = app.api.get("/").header("accept", BROWSER).send().await.expect(503);
    is_page(&reply);
    assert_eq!(headline(&reply.text()), "Not available right now");
    assert!(reply.text().contains("Wait a moment, then load this page again."));
    // Programs still get the time to come back.
    assert_eq!(reply.header("retry-after"), "1");
}

/// Starts incidents behind its listener, which limits clients.
fn serve(db: PgPool, limit: &str) -> (String, DropGuard) {
    let edge = Edge { rate_limit: limit.parse().unwrap(), ..Edge::default() };
    let (at, stop) = TestApp::new(db).serve(edge);
    (format!("http://{at}"), stop)
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn whoever_asks_too_much_reads_when_to_come_back(db: PgPool) {
    let (url, _stop) = serve(db, "3/1h");
    let client = reqwest::Client::new();
    let ask = async |accept: &str| client.get(&url).header("accept", accept).send().await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask(BROWSER).await.status(), 200);
    }
    let refused = ask(BROWSER).await;
    assert_eq!(refused.status(), 429);
    let wait = refused.headers()["retry-after"].to_str().unwrap().to_owned();
    assert!(refused.headers().contains_key("ratelimit"));
    let page = refused.text().await.unwrap();
    assert_eq!(headline(&page), "Too many requests");
    assert!(page.contains(&format!("Wait {wait} seconds, then load this page again.")), "{page}");
    let refused = client.get(format!("{url}/v1/incidents")).send().await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), refused.headers()["content-type"].as_bytes()),
        (429, b"application/problem+json".as_slice())
    );
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], "rate_limited");
}

#[sqlx::test(migrator = "incidents::MIGRATOR")]
async fn an_error_page_leads_to_no_other_site(db: PgPool) {
    let (url, _stop) = serve(db, "1/1h");
    let client = reqwest::Client::new();
    let ask = async |path: &str| {
        let call = client.get(format!("{url}{path}")).header("accept", BROWSER);
        call.send().await.unwrap().text().await.unwrap()
    };
    ask("/").await;
    for path in ["//evil.example/x", "///evil.example/x", "//evil.example"] {
        let page = ask(path).await;
        assert!(page.contains("href=\"/\">Try again</a>"), "{path}: {page}");
        assert!(!page.contains("evil.example"), "{path}: {page}");
    }
    assert!(ask("/console/statistics?a=%2F").await.contains("href=\"/console/statistics?a=%2F\""));
}
