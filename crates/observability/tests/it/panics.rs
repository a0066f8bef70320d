use axum::Router;
use axum::routing::get;
use observability::{Carrier, SpanKind, panics};

use crate::support::{Client, metric, serve, telemetry};

fn balance() -> u32 {
    panic!("ledger is upside down")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_handler_answers_500_is_counted_once_and_logged_with_its_stack() {
    let telemetry = telemetry();
    let panicking = async || {
        tokio::task::yield_now().await;
        balance().to_string()
    };
    let routes = Router::new().route("/p/{id}", get(panicking)).route("/ok", get(async || "fine"));
    let address = serve(routes).await;
    let mut client = Client::connect(address).await;

    let answer = client.get("/p/7?q=hush", "x-request-id: r-1\r\nuser-agent: curl/8\r\n").await;

    assert_eq!((answer.status, &*answer.body), (500, "sorry r-1"));
    assert_eq!(answer.header("x-request-id"), Some("r-1"));
    let next = client.get("/ok", "").await;
    assert_eq!((next.status, &*next.body), (200, "fine"), "the connection serves on");

    let line = telemetry.log.line("panicked").await;
    assert_eq!(line["level"], "ERROR");
    assert_eq!(line["panic"], "ledger is upside down");
    assert_eq!(line["request_id"], "r-1");
    assert_eq!(line["method"], "GET");
    assert_eq!(line["route"], "/p/{id}");
    assert_eq!(line["client_ip"], "127.0.0.1");
    assert_eq!(line["user_agent"], "curl/8");
    assert!(line["location"].as_str().unwrap().contains("panics.rs"));
    let stack = line["stack"].as_str().unwrap();
    assert!(stack.contains("it::panics::balance"), "{stack}");
    let first = stack.lines().next().unwrap();
    assert!(first.contains("balance"), "the stack begins where it happened: {first}");
    let access = telemetry.log.line("request").await;
    assert_eq!((&access["status"], &access["request_id"]), (&500.into(), &"r-1".into()));
    assert_eq!(access["trace_id"], line["trace_id"]);

    assert_eq!(metric("panic_total"), Some(1.0));
    assert_eq!(metric(r#"panic_by_endpoint_total{endpoint="/p/{id}"}"#), Some(1.0));
    assert_eq!(
        metric(r#"http_requests_total{method="GET",path="/p/{id}",status="500"}"#),
        Some(1.0)
    );
    assert_eq!(metric("http_requests_in_flight"), Some(0.0));
    let panics = telemetry.log.lines().into_iter().filter(|line| line["message"] == "panicked");
    assert_eq!(panics.count(), 1);
    assert!(!telemetry.log.text().contains("hush"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_does_not_hold_up_its_worker() {
    let telemetry = telemetry();
    let address = serve(Router::new().route("/p", get(async || balance().to_string()))).await;
    let answer = Client::connect(address).await.get("/p", "").await;
    let is_logged = telemetry.log.text().contains("panicked");
    assert_eq!(answer.status, 500);
    assert!(!is_logged, "the answer waited until the stack was resolved, 50 ms or more");
    telemetry.log.line("panicked").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_event_handler_is_a_failed_one() {
    let telemetry = telemetry();
    panics::declare("booking.completed");
    assert_eq!(metric(r#"panic_by_endpoint_total{endpoint="booking.completed"}"#), Some(0.0));
    let event = Carrier { request_id: "r-9".to_owned(), ..Carrier::default() };
    let handle = panics::catch("booking.completed", async { balance() });
    let outcome = event.scope("outbox.deliver booking.completed", SpanKind::Consumer, handle).await;
    assert_eq!(outcome.unwrap_err().to_string(), "booking.completed panicked");
    let line = telemetry.log.line("panicked").await;
    assert_eq!(
        (&line["endpoint"], &line["request_id"]),
        (&"booking.completed".into(), &"r-9".into())
    );
    assert!(line["stack"].as_str().unwrap().contains("balance"));
    assert_eq!(metric(r#"panic_by_endpoint_total{endpoint="booking.completed"}"#), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_that_nobody_expects_is_in_the_log_before_the_thread_is_gone() {
    let telemetry = telemetry();
    assert!(std::thread::spawn(balance).join().is_err());
    let lines = telemetry.log.lines();
    assert_eq!(lines[0]["panic"], "ledger is upside down");
    assert_eq!(metric("panic_total"), Some(1.0));
}
