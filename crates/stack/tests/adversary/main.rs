//! An adversary: some members, two shops with their staff and a stranger, who do to the running system
//! whatever its public routes let them, in any order, while its parts are killed, stopped and cut off.
//!
//! Once it is quiet, the four databases and all that was answered must agree ([`judge`]). A failure prints
//! its seed, and the shortest sequence that was found to show it ([`shrink`]).

#![allow(unreachable_pub, reason = "a test crate exports nothing")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(clippy::print_stderr, reason = "a test says what it has measured")]

mod answer;
mod api;
#[path = "../it/bench.rs"]
#[expect(dead_code, reason = "the other tests use all of it")]
mod bench;
mod cast;
mod coverage;
mod dice;
mod draw;
mod fault;
mod hostile;
mod judge;
mod link;
mod pool;
mod random;
mod run;
mod schema;
mod shrink;
mod side;
mod step;
mod stories;
mod world;

use std::time::{Duration, Instant, SystemTime};

use tokio::signal::unix::{SignalKind, signal};

use crate::dice::Dice;
use crate::run::Run;
use crate::stories::Story;
use crate::world::World;

/// A cast's tokens live for five minutes.
const CAST: Duration = Duration::from_secs(150);

/// A campaign that is interrupted takes its stack down as well.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_what_is_not_theirs() {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    tokio::select! {
        () = attack() => return,
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
    panic!("interrupted");
}

async fn attack() {
    let number = |name| stack::settings::variable(name).map(|text| text.parse::<u64>().unwrap());
    let time = Duration::from_secs(number("ADVERSARY_SECONDS").unwrap_or(20));
    let seed = number("ADVERSARY_SEED").unwrap_or(1);
    let shrinking = Duration::from_secs(number("ADVERSARY_SHRINK_SECONDS").unwrap_or(90));

    let world = World::start().await;
    let begun = Instant::now();
    let (mut casts, mut steps, mut calls) = (0, 0, 0);
    let mut told = shuffled(seed);
    let mut first_round = Story::ALL.len();
    loop {
        let seed = seed + casts * 1000;
        let mut run = Run::new(&world, seed, &nonce());
        run.set_up().await;
        let cast = Instant::now();
        // Each story is told once, however slow the machine.
        let ends = |left: usize| begun.elapsed() > time && left == 0;
        while run.found.is_empty() && !ends(first_round) && cast.elapsed() < CAST {
            for _ in 0..6 {
                if told.is_empty() {
                    told = shuffled(run.dice.next());
                }
                let story = told.remove(0);
                run.tell(story).await;
                run.noise(3).await;
                first_round = first_round.saturating_sub(1);
                if ends(first_round) || !run.found.is_empty() {
                    break;
                }
            }
            run.judge().await;
        }
        casts += 1;
        let ends = ends(first_round);
        if ends && run.found.is_empty() {
            run.reach_the_rest().await;
            run.judge().await;
        }
        // All that was done, for whoever wants to read it.
        let whole = shrink::story(&run, &run.trace);
        std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/adversary.log"), whole).unwrap();
        steps += run.trace.len();
        calls += run.log.len();
        if !run.found.is_empty() {
            fail(&run, seed, shrinking).await;
        }
        if ends {
            let (table, missed) = run.coverage();
            eprintln!(
                "{table}{casts} casts, {steps} steps, {calls} calls in {:.0?}",
                begun.elapsed()
            );
            assert!(missed.is_empty(), "routes that were not reached:\n{}", missed.join("\n"));
            return;
        }
    }
}

fn shuffled(seed: u64) -> Vec<Story> {
    let mut dice = Dice::new(seed);
    let mut stories = Story::ALL.to_vec();
    for n in (1..stories.len()).rev() {
        stories.swap(n, dice.roll(n + 1));
    }
    stories
}

fn nonce() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    format!("{:x}", now.as_millis() & 0xffff_ffff)
}

async fn fail(run: &Run<'_>, seed: u64, time: Duration) -> ! {
    for found in &run.found {
        eprintln!("FOUND {}: {}", found.kind, found.what);
    }
    let violation = run.found[0].clone();
    eprintln!("seed {seed}; looking for a short sequence that shows `{}` …", violation.kind);
    let shrunk = shrink::shrink(run, violation, time).await;
    let steps = shrink::story(run, &shrunk.steps);
    panic!(
        "{}: {}\nseed {seed}, {} of {} steps, after {} attempts{}:\n{steps}",
        shrunk.violation.kind,
        shrunk.violation.what,
        shrunk.steps.len(),
        run.trace.len() - run.set_up,
        shrunk.attempts,
        if shrunk.is_reproduced { "" } else { " (not shown again: it depends on the moment)" },
    );
}
