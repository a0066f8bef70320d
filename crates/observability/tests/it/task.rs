use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use observability::{metrics, task};
use tokio_util::sync::CancellationToken;

use crate::support::{eventually, metric, telemetry};

#[tokio::test(flavor = "multi_thread")]
async fn a_supervised_task_is_started_again_after_an_error_and_a_panic() {
    let telemetry = telemetry();
    let (stop, starts) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
    let (counter, token) = (starts.clone(), stop.clone());
    let running = tokio::spawn(task::supervise("relay", stop.clone(), move || {
        let (start, token) = (counter.fetch_add(1, Ordering::Relaxed), token.clone());
        async move {
            match start {
                0 => anyhow::bail!("no database"),
                1 => panic!("poison"),
                _ => token.cancelled().await,
            }
            Ok(())
        }
    }));
    eventually(|| (starts.load(Ordering::Relaxed) == 3).then_some(())).await;
    assert_eq!(metric(r#"task_restarts_total{task="relay"}"#), Some(2.0));
    assert_eq!(metric(r#"panic_by_endpoint_total{endpoint="relay"}"#), Some(1.0));
    assert_eq!(telemetry.log.line("task failed").await["error"], "no database");
    assert_eq!(telemetry.log.line("panicked").await["endpoint"], "relay");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(1), running).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_task_stops_while_it_waits_for_its_next_start() {
    let _telemetry = telemetry();
    let stop = CancellationToken::new();
    let failing = || async { anyhow::bail!("never") };
    let running = tokio::spawn(task::supervise("failing", stop.clone(), failing));
    eventually(|| metric(r#"task_restarts_total{task="failing"}"#).filter(|n| *n >= 3.0)).await;
    stop.cancel();
    tokio::time::timeout(Duration::from_millis(500), running).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_alerts_read_is_there_at_zero() {
    let _telemetry = telemetry();
    metrics::declare_invariant("account", "balance_not_negative");
    metrics::declare_conflict("account");
    metrics::db::declare("points", 10);
    let violations =
        r#"invariant_violation_total{aggregate="account",invariant="balance_not_negative"}"#;
    let conflicts = r#"concurrency_conflict_total{aggregate="account"}"#;
    for series in
        [violations, conflicts, "panic_total", r#"db_slow_queries_total{service="points"}"#]
    {
        assert_eq!(metric(series), Some(0.0), "{series}");
    }
    metrics::invariant_violated("account", "balance_not_negative");
    metrics::concurrency_conflict("account");
    assert_eq!((metric(violations), metric(conflicts)), (Some(1.0), Some(1.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_registry_has_the_process_the_runtime_and_the_database() {
    let _telemetry = telemetry();
    metrics::db::connections("points", 3, 4, 10);
    assert!(!metrics::db::statement("points", "insert_entry", Duration::from_millis(99)));
    assert!(metrics::db::statement("points", "insert_entry", Duration::from_millis(101)));
    for (series, value) in [
        (r#"db_connections_active{service="points"}"#, 3.0),
        (r#"db_connections_idle{service="points"}"#, 4.0),
        (r#"db_connections{service="points",state="in_use"}"#, 3.0),
        (r#"db_connections{service="points",state="idle"}"#, 4.0),
        (r#"db_connections{service="points",state="max"}"#, 10.0),
        (r#"db_slow_queries_total{service="points"}"#, 1.0),
        (
            r#"db_query_duration_seconds_bucket{operation="insert_entry",service="points",le="0.1"}"#,
            1.0,
        ),
    ] {
        assert_eq!(metric(series), Some(value), "{series}");
    }
    assert!(metric("tokio_workers").unwrap() >= 1.0);
    assert!(metric("tokio_busy_seconds_total").is_some());
    assert!(metric("process_resident_memory_bytes").unwrap() > 0.0);
    let (first, again) =
        (metrics::counter("twice_total", "Asked for twice."), metrics::counter("twice_total", "…"));
    first.inc();
    assert_eq!(again.get(), 1, "one name is one metric");
    assert_eq!(metrics::render().0, "text/plain; version=0.0.4");
}
