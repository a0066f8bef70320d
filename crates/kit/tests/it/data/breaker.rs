use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kit::breaker::{Breaker, Config, State};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::metric;

const CONFIG: Config = Config {
    window: Duration::from_secs(10),
    max_failures: 10,
    failure_ratio: 0.5,
    slow: Duration::from_millis(200),
    reset_timeout: Duration::from_millis(50),
    probes: 3,
};

const FAILS: Result<(), ()> = Err(());

fn breaker(name: &'static str) -> Breaker {
    Breaker::new(name, CONFIG)
}

/// Waits until an open breaker lets probes through.
async fn reset() {
    sleep(CONFIG.reset_timeout.mul_f64(1.3)).await;
}

async fn fail(breaker: &Breaker, times: u32) {
    for _ in 0..times {
        let _ = breaker.call(async { FAILS }, Result::is_err).await;
    }
}

async fn succeeds(breaker: &Breaker) -> bool {
    breaker.call(async { Ok::<(), ()>(()) }, Result::is_err).await.is_ok()
}

/// Fails until it opens, then waits until it lets probes through.
async fn half_open(breaker: &Breaker) {
    fail(breaker, 10).await;
    assert_eq!(breaker.state(), State::Open);
    reset().await;
}

#[tokio::test]
async fn half_open_lets_three_of_two_hundred_callers_through_to_a_hung_dependency() {
    let breaker = breaker("hung");
    half_open(&breaker).await;
    let admitted = Arc::new(AtomicU32::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..200 {
        let (breaker, admitted) = (breaker.clone(), Arc::clone(&admitted));
        callers.spawn(async move {
            let hang = async {
                admitted.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await;
                FAILS
            };
            let _ = breaker.call(hang, Result::is_err).await;
        });
    }
    while admitted.load(Ordering::Relaxed) < 3 || callers.len() > 3 {
        let refused = callers.join_next().await;
        assert!(refused.is_some());
    }
    assert_eq!(admitted.load(Ordering::Relaxed), 3);
    assert_eq!(breaker.state(), State::HalfOpen);

    // Hanging probes do not keep it half-open.
    sleep(CONFIG.slow).await;
    assert!(!succeeds(&breaker).await);
    assert_eq!(breaker.state(), State::Open);
    reset().await;
    for _ in 0..3 {
        assert!(succeeds(&breaker).await);
    }
    assert_eq!(breaker.state(), State::Closed);
    callers.shutdown().await;
    assert_eq!(breaker.state(), State::Closed, "the hung probes are stale by now");
}

#[tokio::test]
async fn a_canceled_probe_gives_its_place_back() {
    let breaker = breaker("canceled");
    half_open(&breaker).await;
    for _ in 0..50 {
        let hang = breaker.call(std::future::pending::<Result<(), ()>>(), Result::is_err);
        assert!(timeout(Duration::from_millis(10), hang).await.is_err());
    }
    for _ in 0..3 {
        assert!(succeeds(&breaker).await);
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn stragglers_neither_close_nor_open_a_breaker() {
    let breaker = breaker("stragglers");
    let late = Arc::new(Notify::new());
    let straggler = |failed| {
        let (breaker, late) = (breaker.clone(), Arc::clone(&late));
        tokio::spawn(async move {
            let late = async move {
                late.notified().await;
                if failed { FAILS } else { Ok(()) }
            };
            breaker.call(late, Result::is_err).await
        })
    };
    let early: Vec<_> = (0..20).map(|n| straggler(n % 2 == 0)).collect();
    tokio::task::yield_now().await;
    half_open(&breaker).await;
    assert!(succeeds(&breaker).await);
    late.notify_waiters();
    for straggler in early {
        assert!(straggler.await.unwrap().is_ok());
        assert_eq!(breaker.state(), State::HalfOpen);
    }
}

#[tokio::test]
async fn five_percent_of_failures_never_open_it() {
    let breaker = breaker("five-percent");
    for call in 0..1_000_000 {
        let result = if call % 20 == 0 { FAILS } else { Ok(()) };
        assert!(breaker.call(async { result }, Result::is_err).await.is_ok());
    }
    assert_eq!(breaker.state(), State::Closed);
}

#[tokio::test]
async fn fifty_percent_of_failures_open_it() {
    let breaker = breaker("fifty-percent");
    for call in 0..20 {
        let result = if call % 2 == 0 { FAILS } else { Ok(()) };
        let _ = breaker.call(async { result }, Result::is_err).await;
    }
    assert_eq!(breaker.state(), State::Open);
}

#[tokio::test]
async fn a_slow_answer_is_a_failure_and_so_is_one_nobody_waited_for() {
    for waits in [true, false] {
        let breaker = breaker("slow");
        let mut calls = JoinSet::new();
        for _ in 0..10 {
            let breaker = breaker.clone();
            calls.spawn(async move {
                let answer = async {
                    sleep(CONFIG.slow.mul_f64(1.1)).await;
                    if !waits {
                        std::future::pending::<()>().await;
                    }
                    Ok::<(), ()>(())
                };
                let call = breaker.call(answer, Result::is_err);
                timeout(CONFIG.slow.mul_f64(1.5), call).await.is_ok()
            });
        }
        assert!(calls.join_all().await.into_iter().all(|answered| answered == waits));
        assert_eq!(breaker.state(), State::Open);
    }
}

#[tokio::test]
async fn every_state_and_transition_is_a_metric_from_the_start() {
    let breaker = breaker("metered");
    let state = || metric(&["circuit_breaker_state", "metered"]);
    let opened = || metric(&["circuit_breaker_transitions_total", "metered", "\"open\""]);
    let (_, text) = observability::metrics::render();
    let text = String::from_utf8(text).unwrap();
    for to in ["closed", "half_open", "open"] {
        let series =
            format!("circuit_breaker_transitions_total{{dependency=\"metered\",to=\"{to}\"}} 0");
        assert!(text.contains(&series), "{series}");
    }
    assert_eq!(state(), 0.0);
    half_open(&breaker).await;
    assert_eq!((state(), opened()), (2.0, 1.0));
    assert!(succeeds(&breaker).await);
    assert_eq!(state(), 1.0);
}
