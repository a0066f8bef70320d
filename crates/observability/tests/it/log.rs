use std::io::Write;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use observability::{Config, Sinks, context, log_level};

use crate::support::{Client, Log, eventually, metric, serve, telemetry, telemetry_with};

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_request_carries_its_ids_also_in_a_spawned_task() {
    let telemetry = telemetry();
    let handler = || async {
        context::set_user("0190-member");
        tracing::info!(amount = 7, "in the handler");
        context::spawn(async {
            tokio::task::yield_now().await;
            tracing::info!("in a task");
        })
        .await
        .unwrap();
        let threads = tokio::runtime::Handle::current();
        context::spawn_blocking(&threads, || tracing::info!("on a thread")).await.unwrap();
    };
    let address = serve(Router::new().route("/earn/{id}", get(handler))).await;
    let headers = "x-request-id: r-1\r\nx-correlation-id: c-1\r\n\
                   traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n";
    Client::connect(address).await.get("/earn/5", headers).await;

    let access = telemetry.log.line("request").await;
    assert_eq!(access["route"], "/earn/{id}");
    assert_eq!(access["path"], "/earn/5");
    assert_eq!(access["status"], 200);
    assert_eq!(access["method"], "GET");
    assert!(access["duration_ms"].as_f64().unwrap() > 0.0);
    for message in ["in the handler", "in a task", "on a thread", "request"] {
        let line = telemetry.log.line(message).await;
        assert_eq!(line["request_id"], "r-1", "{line}");
        assert_eq!(line["correlation_id"], "c-1", "{line}");
        assert_eq!(line["user_id"], "0190-member", "{line}");
        assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c", "{line}");
        assert_eq!(line["span_id"], access["span_id"], "{line}");
        assert_eq!(line["level"], "INFO", "{line}");
        assert_eq!(line["service"], "points", "{line}");
        let timestamp = line["timestamp"].as_str().unwrap();
        assert!(timestamp.len() == 27 && timestamp.ends_with('Z') && &timestamp[10..11] == "T");
    }
    let line = telemetry.log.line("in the handler").await;
    assert_eq!(line["amount"], 7);
    assert!(line["target"].as_str().unwrap().starts_with("it::log"));
    assert_ne!(access["span_id"], "b7ad6b7169203331");
}

#[tokio::test(flavor = "multi_thread")]
async fn user_text_cannot_forge_a_line() {
    let telemetry = telemetry();
    let evil = "x\r\n{\"level\":\"INFO\"}\u{1b}[2J\u{2028}\u{85}\u{9b}31m\u{202e}\u{200b}\0\"}\\";
    tracing::info!(name = evil, shown = %evil, debugged = ?evil, "said {evil}");
    tracing::info!(level = "FATAL", timestamp = 0, service = evil, request_id = "mine", "reserved");
    tracing::info!(huge = "🦀".repeat(3_000_000), "big");
    telemetry.log.line("big").await;

    let text = telemetry.log.text();
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "a control character got through");
    assert!(!text.contains(['\u{2028}', '\u{202e}', '\u{200b}']));
    assert!(text.len() < 20_000, "a value fills the disk: {} bytes", text.len());
    let lines = telemetry.log.lines();
    assert_eq!(lines.len(), 3, "each event is one line");
    assert_eq!(lines[0]["name"], evil, "and nothing is lost by escaping");
    assert_eq!(lines[1]["level"], "INFO");
    assert_eq!(lines[1]["field_level"], "FATAL");
    assert_eq!(text.matches("\"request_id\"").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn pretty_lines_cannot_be_forged_either() {
    let format = observability::config::LogFormat::Pretty;
    let telemetry = telemetry_with(Config { log_format: format, ..Config::default() });
    tracing::info!(name = "x\r\n\u{1b}[2J", "hello\n2026-01-01 ERROR forged");
    eventually(|| telemetry.log.text().contains("hello").then_some(())).await;
    let text = telemetry.log.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(
        text.contains(r#"INFO it::log: hello\n2026-01-01 ERROR forged name="x\r\n\u001b[2J""#),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_logged_with_its_causes() {
    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::io::Error);
    let telemetry = telemetry();
    let error = Outer(std::io::Error::other("inner"));
    tracing::error!(error = &error as &(dyn std::error::Error + 'static), "failed");
    assert_eq!(telemetry.log.line("failed").await["error"], "outer: inner");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_level_can_be_switched_while_running() {
    let telemetry = telemetry();
    tracing::debug!("before");
    log_level::set("debug,access=off").unwrap();
    assert_eq!(log_level::current(), "debug,access=off");
    tracing::debug!("during");
    telemetry.log.line("during").await;
    for wrong in ["verbose", "", "kit=loud", "info;debug", "a=b=c"] {
        assert!(log_level::set(wrong).is_err(), "`{wrong}` was taken for directives");
    }
    assert_eq!(log_level::current(), "debug,access=off");
    log_level::set("info").unwrap();
    tracing::debug!("after");
    tracing::info!("end");
    telemetry.log.line("end").await;
    let debugs = telemetry.log.lines().into_iter().filter(|line| line["level"] == "DEBUG");
    assert_eq!(debugs.count(), 1);
}

/// Standard output that blocks until opened.
#[derive(Clone)]
struct Pipe {
    open: Arc<(Mutex<bool>, Condvar)>,
    log: Log,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let (open, opened) = &*self.open;
        let _open = opened.wait_while(open.lock().unwrap(), |open| !*open).unwrap();
        self.log.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stuck_reader_costs_info_lines_and_counts_them_but_no_error_line() {
    let pipe = Pipe { open: Arc::default(), log: Log::default() };
    let sinks = Sinks { log: Some(Box::new(pipe.clone())), ..Sinks::default() };
    let _guard = observability::init_with("points", "0.1.0", &Config::default(), sinks).unwrap();
    assert_eq!(metric(r#"log_lines_dropped_total{level="info"}"#), Some(0.0));

    let filler = "x".repeat(4000);
    let started = Instant::now();
    for _ in 0..3000 {
        tracing::info!(filler, "filler");
    }
    for n in 0..100 {
        tracing::error!(n, "important");
    }
    assert!(started.elapsed() < Duration::from_secs(2), "logging waited for the reader");
    let dropped = metric(r#"log_lines_dropped_total{level="info"}"#).unwrap();
    assert!(dropped > 500.0, "{dropped} dropped");
    assert_eq!(metric(r#"log_lines_dropped_total{level="error"}"#), Some(0.0));

    *pipe.open.0.lock().unwrap() = true;
    pipe.open.1.notify_all();
    let report = pipe.log.line("log lines were dropped: standard output was not read").await;
    assert_eq!(report["lost"].as_f64(), Some(dropped));
    let lines = pipe.log.lines();
    assert_eq!(lines.iter().filter(|line| line["message"] == "important").count(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn error_lines_beyond_the_reserve_are_counted_and_do_not_stop_the_service() {
    let pipe = Pipe { open: Arc::default(), log: Log::default() };
    let sinks = Sinks { log: Some(Box::new(pipe.clone())), ..Sinks::default() };
    let _guard = observability::init_with("points", "0.1.0", &Config::default(), sinks).unwrap();
    let filler = "x".repeat(8000);
    let started = Instant::now();
    for _ in 0..2000 {
        tracing::error!(filler, "important");
    }
    assert!(started.elapsed() < Duration::from_secs(2), "every line waited");
    let dropped = metric(r#"log_lines_dropped_total{level="error"}"#).unwrap();
    assert!(dropped > 500.0, "{dropped} dropped");
    *pipe.open.0.lock().unwrap() = true;
    pipe.open.1.notify_all();
    let report = pipe.log.line("log lines were dropped: standard output was not read").await;
    assert_eq!(report["lost"].as_f64(), Some(dropped));
}
