use std::net::TcpListener;
use std::time::{Duration, Instant};

use observability::{Config, Sinks, SpanKind, context};

use crate::support::Log;

/// Starts with this collector, writes a span and a line, and ends.
async fn start_and_end(endpoint: String) -> (Duration, Log) {
    let log = Log::default();
    let sinks = Sinks { log: Some(Box::new(log.clone())), spans: None };
    let config = Config { otlp_endpoint: endpoint, ..Config::default() };
    let guard = observability::init_with("points", "0.1.0", &config, sinks).unwrap();
    context::span("work", SpanKind::Internal, async { tracing::info!("last words") }).await;
    let started = Instant::now();
    drop(guard);
    (started.elapsed(), log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_collector_that_refuses_does_not_hold_up_the_end() {
    let (took, log) = start_and_end("http://127.0.0.1:1".to_owned()).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(log.text().contains("last words"));
    let reported =
        log.lines().into_iter().any(|line| line["level"] == "ERROR" || line["level"] == "WARN");
    assert!(reported, "lost spans are silent: {}", log.text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_collector_that_never_answers_does_not_hold_up_the_end() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (took, log) = start_and_end(format!("http://{}", silent.local_addr().unwrap())).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(log.text().contains("last words"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_inside_a_task_is_bounded_too() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let (took, _) = tokio::spawn(start_and_end(endpoint)).await.unwrap();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test]
async fn a_current_thread_runtime_is_refused_instead_of_hanging_at_the_end() {
    let error = observability::init("points", "0.1.0", &Config::default()).err().unwrap();
    assert_eq!(error.to_string(), "telemetry needs a multi-thread tokio runtime");
}

#[test]
fn wrong_configuration_is_named() {
    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(flatten)]
        _telemetry: Config,
    }
    let parse = |arguments: &[&str]| {
        let arguments = ["points"].iter().chain(arguments);
        <Cli as clap::Parser>::try_parse_from(arguments).map(drop).map_err(|e| e.to_string())
    };
    parse(&["--log-level", "info,kit=debug", "--trace-ratio", "0.25", "--otlp-endpoint", ""])
        .unwrap();
    for (flag, value) in [
        ("--trace-ratio", "1.5"),
        ("--trace-ratio", "NaN"),
        ("--log-level", "infoo"),
        ("--log-format", "xml"),
        ("--otlp-endpoint", "jaeger:4317"),
    ] {
        let error = parse(&[flag, value]).unwrap_err();
        assert!(error.contains(flag) && error.contains(value), "{error}");
    }
}
