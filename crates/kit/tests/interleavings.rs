//! The circuit breaker under every order of calls, answers, cancellations and passing time. The machine is
//! the real one; its lock is shuttle's, which chooses the next thread.

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use shuttle::sync::{Arc, Mutex};
use shuttle::thread;
use tokio::time::Instant;

#[path = "../src/breaker/machine.rs"]
#[expect(dead_code, reason = "the breaker around it is not here")]
mod machine;

use machine::{Config, Machine, State};

/// Stands in for the breaker's own type.
#[derive(Debug)]
#[expect(dead_code, reason = "nobody waits here")]
struct Open {
    retry_after: Duration,
}

#[derive(Clone, Copy)]
enum Answer {
    Good,
    Bad,
    /// The caller is canceled.
    None,
}

/// The breaker, and the callers' own counts of its calls.
struct World {
    machine: Machine,
    now: Instant,
    /// Number of half-open phases, with the probes of each: in flight, and succeeded.
    phase: u32,
    asking: u32,
    succeeded: u32,
}

/// An open breaker whose pause is over.
fn world() -> World {
    let config = Config { max_failures: 1, slow: Duration::from_hours(1), ..Config::default() };
    let (mut machine, now) = (Machine::new(config), Instant::now());
    let ticket = machine.admit(now).unwrap();
    machine.done(ticket, true, now);
    assert_eq!(machine.state(), State::Open);
    let now = now + Duration::from_secs(3);
    World { machine, now, phase: 0, asking: 0, succeeded: 0 }
}

fn call(world: &Mutex<World>, answer: Answer) {
    let (ticket, probe) = {
        let mut world = world.lock().unwrap();
        let (before, now) = (world.machine.state(), world.now);
        let Ok(ticket) = world.machine.admit(now) else { return };
        let probe = world.machine.state() == State::HalfOpen;
        if probe && before == State::Open {
            (world.phase, world.asking, world.succeeded) = (world.phase + 1, 0, 0);
        }
        if probe {
            world.asking += 1;
            assert!(world.asking + world.succeeded <= 3, "more probes than three");
        }
        (ticket, probe.then_some(world.phase))
    };
    let mut world = world.lock().unwrap();
    let (before, now) = (world.machine.state(), world.now);
    match answer {
        Answer::Good => world.machine.done(ticket, false, now),
        Answer::Bad => world.machine.done(ticket, true, now),
        Answer::None => world.machine.abandoned(ticket, now),
    }
    let (after, current) =
        (world.machine.state(), before == State::HalfOpen && probe == Some(world.phase));
    if current {
        world.asking -= 1;
        world.succeeded += u32::from(matches!(answer, Answer::Good));
    }
    match (before, after) {
        (State::HalfOpen, State::Closed) => {
            assert!(current && world.succeeded == 3, "closed too soon")
        }
        (State::HalfOpen, State::Open) => assert!(current, "a stale answer opened it"),
        (State::Open, after) => assert_eq!(after, State::Open, "an answer ended the pause"),
        _ => {}
    }
}

/// Runs each of these calls in its own thread, while time passes `pauses` times.
fn run(answers: &'static [Answer], pauses: usize) {
    let world = Arc::new(Mutex::new(world()));
    let calls = answers.iter().map(|answer| {
        let world = world.clone();
        thread::spawn(move || call(&world, *answer))
    });
    let calls: Vec<_> = calls.collect();
    for _ in 0..pauses {
        world.lock().unwrap().now += Duration::from_secs(3);
    }
    for call in calls {
        call.join().unwrap();
    }
}

const MIXED: &[Answer] = &[
    Answer::Good,
    Answer::Good,
    Answer::Bad,
    Answer::Good,
    Answer::None,
    Answer::Good,
    Answer::Bad,
    Answer::Good,
];

#[test]
fn four_callers_in_any_order_are_three_probes_at_most() {
    shuttle::check_dfs(
        || run(&[Answer::Good, Answer::Good, Answer::None, Answer::Good], 0),
        Some(20_000),
    );
}

#[test]
fn eight_callers_and_the_time_mix_as_they_like() {
    shuttle::check_pct(|| run(MIXED, 2), 5_000, 4);
    shuttle::check_random(|| run(MIXED, 2), 5_000);
}
