//! Parts crash, and so may the supervisor.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::bench::{Bench, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_crashed_part_is_reported_and_restarted_and_a_restart_is_not_a_crash() {
    let mut bench = Bench::new("crash").await;
    bench.set("STACK_RESTART_DELAY_MS", 1000);
    bench.up().await;

    let before = bench.process("booking");
    before.signal(Signal::SIGKILL);
    within(Duration::from_secs(1), "status says crashed", || async {
        let said = bench.run(&["status"]).await;
        said.code == 1 && said.out.contains("booking        crashed")
    })
    .await;
    within(Duration::from_secs(10), "it is back", || async { bench.is_ready("booking") }).await;
    assert_ne!(bench.process("booking"), before);
    assert_eq!(bench.part("booking").restarts, 1);
    let status = bench.ok(&["status"]).await;
    assert!(status.contains("ended the last time: killed by SIGKILL"), "{status}");

    // In good order, and so not counted.
    let before = bench.process("points");
    assert!(bench.ok(&["restart", "points"]).await.contains("points is ready again"));
    assert_ne!(bench.process("points"), before);
    assert_eq!(bench.part("points").restarts, 0);
    assert!(bench.ok(&["logs", "points"]).await.contains("\"message\":\"stopped\""));

    let said = bench.run(&["restart", "pints"]).await;
    assert!(said.err.contains("no part `pints`; there are postgres,"), "{}", said.err);
    let said = bench.run(&["logs", "pints"]).await;
    assert!(said.err.contains("no log of `pints`"), "{}", said.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_supervisor_leaves_is_found_and_ended() {
    let bench = Bench::new("orphans").await;
    bench.up().await;
    bench.state().daemon.signal(Signal::SIGKILL);
    within(Duration::from_secs(2), "it is dead", || async { !bench.state().daemon.is_alive() })
        .await;
    assert!(bench.process("auth").is_alive());
    let said = bench.run(&["status"]).await;
    assert_eq!(said.code, 1);
    assert!(said.out.contains("The supervisor is gone"), "{}", said.out);

    bench.ok(&["down"]).await;
    bench.assert_gone();

    // Even when what it knew is lost as well, and `up` comes before `down`.
    bench.up().await;
    bench.state().daemon.signal(Signal::SIGKILL);
    within(Duration::from_secs(2), "it is dead", || async { !bench.state().daemon.is_alive() })
        .await;
    std::fs::remove_file(bench.place.board()).unwrap();
    bench.up().await;
    bench.ok(&["down"]).await;
    bench.assert_gone();
}
