//! What a service costs.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use stack::ports::SERVICES;

use crate::bench::{Bench, within};

/// Idle memory of a service.
const IDLE: u64 = 30 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_ready_within_a_second_and_small_when_idle() {
    let mut bench = Bench::new("start").await;
    bench.set("STACK_RESTART_DELAY_MS", 300);
    bench.up().await;
    for service in SERVICES {
        let old = bench.process(service);
        old.signal(Signal::SIGTERM);
        within(Duration::from_secs(15), "a new process", || async {
            bench.part(service).process.is_some_and(|process| process != old)
        })
        .await;
        let begun = Instant::now();
        within(Duration::from_secs(1), service, || async {
            let answer = reqwest::get(bench.url(service, "/ready")).await;
            answer.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        let took = begun.elapsed();
        let (all, anonymous) = memory(bench.process(service).pid);
        eprintln!(
            "{service}: ready after {took:.0?}, {} KiB resident, {} KiB of it its own",
            all >> 10,
            anonymous >> 10
        );
        // The code of a debug build alone is larger than a whole release build is in memory.
        let counted = if cfg!(debug_assertions) { anonymous } else { all };
        assert!(counted < IDLE, "{service}: {} KiB", counted >> 10);
    }
}

/// Resident memory, and the part of it that is not mapped from a file, in bytes.
fn memory(pid: i32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    };
    (field("VmRSS:"), field("RssAnon:"))
}
