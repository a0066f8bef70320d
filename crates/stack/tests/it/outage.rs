//! PostgreSQL or Redis is killed under a running system.

use std::time::Duration;

use nix::sys::signal::Signal;
use stack::ports::SERVICES;

use crate::bench::{Bench, within};

/// Long enough to be seen by a readiness that may be a second old.
const OUTAGE: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn readiness_tells_the_truth_about_postgres_and_redis_and_recovers_with_them() {
    let mut bench = Bench::new("outage").await;
    bench.set("STACK_RESTART_DELAY_MS", OUTAGE.as_millis());
    bench.up().await;
    let before = SERVICES.map(|service| bench.process(service));

    // Without Redis everything is slower, and says so.
    bench.process("redis").signal(Signal::SIGKILL);
    let truth = all(&bench, Duration::from_secs(2), "degraded", 200).await;
    within(OUTAGE * 3, "redis is back", || async { bench.is_ready("redis") }).await;
    let recovery = all(&bench, Duration::from_secs(5), "ready", 200).await;
    eprintln!("redis: known after {truth:.1?}, well {recovery:.1?} after its return");

    // Without PostgreSQL there is no promise to keep.
    bench.process("postgres").signal(Signal::SIGKILL);
    let truth = all(&bench, Duration::from_secs(2), "unready", 503).await;
    within(OUTAGE * 6, "postgres is back", || async { bench.is_ready("postgres") }).await;
    let recovery = all(&bench, Duration::from_secs(5), "ready", 200).await;
    eprintln!("postgres: known after {truth:.1?}, well {recovery:.1?} after its return");

    assert_eq!(before, SERVICES.map(|service| bench.process(service)), "a service was restarted");
    bench.ok(&["demo"]).await;
}

/// How long until every service says so.
async fn all(bench: &Bench, limit: Duration, status: &str, code: u16) -> Duration {
    within(limit, status, || async {
        let asked = SERVICES.iter().map(|service| bench.ready(service));
        let answers = futures::future::join_all(asked).await;
        answers.iter().all(|(answer, body)| *answer == code && body["status"] == status)
    })
    .await
}
