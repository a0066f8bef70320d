//! `stack down`: ends everything, also what a killed daemon has left behind.

#![expect(clippy::print_stdout, reason = "a command talks to people")]

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::board;
use crate::daemon::LONGEST_STOP;
use crate::place::Place;
use crate::process::{self, Identity, POLL};
use crate::up;

pub async fn run(place: &Place) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut did_something = false;
    if let Some(state) = board::running(place) {
        did_something = true;
        state.daemon.signal(Signal::SIGTERM);
        follow(place, state.daemon).await;
        state.daemon.end(Signal::SIGTERM, Duration::ZERO).await;
    }
    did_something |= sweep(place).await?;
    if did_something {
        println!(
            "Down in {:.1} s. The data stays in {}.",
            begun.elapsed().as_secs_f32(),
            place.dir.display()
        );
    } else {
        println!("Nothing is running.");
    }
    Ok(())
}

async fn follow(place: &Place, daemon: Identity) {
    let deadline = Instant::now() + LONGEST_STOP;
    let mut shown = 0;
    let mut alive = true;
    while alive && Instant::now() < deadline {
        // Before the board is read: what it says after the daemon's end is the last word.
        alive = daemon.is_alive();
        if let Some(state) = board::read(place).filter(|s| s.phase == board::Phase::Stopping) {
            state.progress.iter().skip(shown).for_each(up::print);
            shown = state.progress.len();
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Ends what is left of a stack whose daemon is gone; true when there was something.
pub async fn sweep(place: &Place) -> anyhow::Result<bool> {
    let mut left: Vec<(Identity, Signal)> = Vec::new();
    let state = board::read(place);
    for part in state.iter().flat_map(|state| state.parts.iter().rev()) {
        if let Some(process) = part.process {
            // PostgreSQL takes SIGTERM as "when the last session has ended".
            let signal = if part.name == "postgres" { Signal::SIGINT } else { Signal::SIGTERM };
            left.push((process, signal));
        }
    }
    left.retain(|(process, _)| process.is_alive());
    // What was started in the instant before the daemon died is on no board.
    for process in members(place) {
        if !left.iter().any(|(known, _)| *known == process) {
            left.push((process, Signal::SIGINT));
        }
    }
    for (process, signal) in &left {
        process.end(*signal, Duration::from_secs(12)).await;
    }
    if state.is_some() {
        fs::remove_file(place.board())?;
    }
    Ok(!left.is_empty())
}

/// Every process of the stack in this place, found without its board.
pub fn members(place: &Place) -> Vec<Identity> {
    let real = |path: PathBuf| path.canonicalize().ok();
    let data = [real(place.data()), real(place.data().join("postgres"))];
    process::marked(&place.dir, &data.into_iter().flatten().collect::<Vec<_>>())
}
