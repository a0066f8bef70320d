use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use futures::StreamExt;
use tokio::io::AsyncWriteExt;

use observability::{Config, context};
use opentelemetry::trace::{SpanKind, Status};

use crate::support::{Client, eventually, metric, metrics, serve, telemetry, telemetry_with};

fn series() -> usize {
    metrics().lines().filter(|line| line.starts_with("http_")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_random_paths_and_methods_add_no_series() {
    let telemetry = telemetry();
    let address = serve(Router::new().route("/known/{id}", get(async || "ok"))).await;
    let mut client = Client::connect(address).await;
    client.get("/known/1", "").await;
    client.get("/nowhere", "").await;
    client.send("BREW", "/nowhere", "").await;
    client.send("BREW", "/known/1", "").await;
    let before = series();
    for n in 0..10_000 {
        let target = if n % 2 == 0 { format!("/random/{n}") } else { format!("/known/{n}") };
        let method = if n % 100 == 0 { format!("BREW{n}") } else { "GET".to_owned() };
        client.send(&method, &target, "").await;
    }
    assert_eq!(series(), before);
    let unmatched = r#"http_requests_total{method="GET",path="unmatched",status="404"}"#;
    assert_eq!(metric(unmatched), Some(4901.0));
    let other = r#"http_requests_total{method="other",path="unmatched",status="404"}"#;
    assert_eq!(metric(other), Some(101.0));
    assert_eq!(metric("http_requests_in_flight"), Some(0.0));
    drop(telemetry);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_counted_measured_and_traced() {
    let telemetry = telemetry();
    let failing = async || (http::StatusCode::SERVICE_UNAVAILABLE, "12345");
    let streaming = async || {
        let chunks = futures::stream::iter(["abc", "defg"]).inspect(|_| tracing::info!("chunk"));
        Body::from_stream(chunks.map(Ok::<_, std::io::Error>))
    };
    let routes = Router::new().route("/f/{id}", post(failing)).route("/stream", get(streaming));
    let address = serve(routes).await;
    observability::http::declare(&http::Method::POST, "/f/{id}");
    assert_eq!(
        metric(r#"http_requests_total{method="POST",path="/f/{id}",status="500"}"#),
        Some(0.0)
    );

    Client::connect(address).await.send("POST", "/f/9?token=hush", "content-length: 0\r\n").await;

    assert_eq!(
        metric(r#"http_requests_total{method="POST",path="/f/{id}",status="503"}"#),
        Some(1.0)
    );
    assert_eq!(
        metric(r#"http_request_duration_seconds_bucket{method="POST",path="/f/{id}",le="0.001"}"#)
            .map(|count| count <= 1.0),
        Some(true)
    );
    assert_eq!(
        metric(r#"http_request_duration_seconds_count{method="POST",path="/f/{id}"}"#),
        Some(1.0)
    );
    assert_eq!(metric(r#"http_response_size_bytes_sum{method="POST",path="/f/{id}"}"#), Some(5.0));
    let span = telemetry.spans(1).await.remove(0);
    assert_eq!(span.name, "POST /f/{id}");
    assert_eq!(span.span_kind, SpanKind::Server);
    assert_eq!(span.status, Status::error(""));
    let attributes: Vec<String> =
        span.attributes.iter().map(|a| format!("{}={}", a.key, a.value)).collect();
    assert_eq!(
        attributes,
        [
            "http.request.method=POST",
            "http.route=/f/{id}",
            "url.path=/f/9",
            "http.response.status_code=503",
            "error.type=503"
        ]
    );
    let access = telemetry.log.line("request").await;
    assert_eq!(access["level"], "WARN");
    assert!(!telemetry.log.text().contains("hush"), "a query string was logged");

    let mut client = Client::connect(address).await;
    client.get("/stream", "connection: close\r\nx-request-id: r-2\r\n").await;
    let size = r#"http_response_size_bytes_sum{method="GET",path="/stream"}"#;
    eventually(|| (metric(size) == Some(7.0)).then_some(())).await;
    assert_eq!(telemetry.log.line("chunk").await["request_id"], "r-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn request_ids_are_taken_over_only_when_sane() {
    let telemetry = telemetry();
    let handler = async || context::correlation_id().unwrap();
    let address = serve(Router::new().route("/", get(handler))).await;
    let mut client = Client::connect(address).await;
    let sane = client.get("/", "x-request-id: a.B-3_c\r\n").await;
    assert_eq!(sane.header("x-request-id"), Some("a.B-3_c"));
    assert_eq!(sane.body, "a.B-3_c", "the story begins with this request");
    let told = client.get("/", "x-request-id: r\r\nx-correlation-id: story-1\r\n").await;
    assert_eq!(told.body, "story-1");
    let long = "a".repeat(65);
    for wrong in ["", "a b", "{\"x\":1}", "é", "a\"b", "<script>", &long] {
        let answer = client.get("/", &format!("x-request-id: {wrong}\r\n")).await;
        let id = answer.header("x-request-id").unwrap();
        assert!(id.len() == 36 && id != wrong, "{wrong} became {id}");
    }
    drop(telemetry);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_is_counted_and_logged_under_its_id() {
    let telemetry = telemetry();
    let handler = async || futures::future::pending::<()>().await;
    let address = serve(Router::new().route("/slow", get(handler))).await;
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost: t\r\nx-request-id: gone\r\n\r\n").await.unwrap();
    eventually(|| (metric("http_requests_in_flight") == Some(1.0)).then_some(())).await;
    drop(stream);
    let access = telemetry.log.line("request").await;
    assert_eq!((&access["status"], &access["request_id"]), (&499.into(), &"gone".into()));
    assert_eq!(metric(r#"http_requests_total{method="GET",path="/slow",status="499"}"#), Some(1.0));
    assert_eq!(metric("http_requests_in_flight"), Some(0.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_still_has_ids_in_the_log() {
    let telemetry = telemetry_with(Config { trace_ratio: 0.0, ..Config::default() });
    let address = serve(Router::new().route("/", get(async || tracing::info!("inside")))).await;
    Client::connect(address).await.get("/", "").await;
    let access = telemetry.log.line("request").await;
    let inside = telemetry.log.line("inside").await;
    assert_eq!(access["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(access["trace_id"], inside["trace_id"]);
    assert!(telemetry.spans(0).await.is_empty());
}
