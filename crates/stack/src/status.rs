//! `stack status`: what runs, and whether it is of use.

#![expect(clippy::print_stdout, reason = "a command talks to people")]

use crate::board::{self, Condition, Part, Phase};
use crate::place::Place;
use crate::process::Identity;

/// True when everything is running and ready.
pub async fn run(place: &Place) -> anyhow::Result<bool> {
    let state = board::read(place);
    if let Some(Phase::Failed(why)) = state.as_ref().map(|state| &state.phase) {
        println!("The last start failed: {why}");
        return Ok(false);
    }
    let runs = |part: &Part| part.process.is_some_and(|process| process.is_alive());
    let Some(state) = state.filter(|s| s.daemon.is_alive() || s.parts.iter().any(runs)) else {
        println!("Nothing is running. `make up` starts it.");
        return Ok(false);
    };
    let supervised = state.daemon.is_alive();
    if !supervised {
        println!("The supervisor is gone; `make down` ends what it left, `make up` starts anew.\n");
    }
    let asked = state.parts.iter().map(|part| part.probe.holds(place));
    let answers = futures::future::join_all(asked).await;

    println!(
        "{:<14} {:<9} {:>7} {:>8} {:>9}  endpoint",
        "part", "state", "pid", "uptime", "restarts"
    );
    let mut all_well = supervised;
    for (part, answers) in state.parts.iter().zip(answers) {
        let condition = condition(part, answers);
        all_well &= condition == "ready";
        let alive = part.process.filter(Identity::is_alive);
        println!(
            "{:<14} {condition:<9} {:>7} {:>8} {:>9}  {}",
            part.name,
            alive.map_or("-".to_owned(), |p| p.pid.to_string()),
            alive.map_or("-".to_owned(), |_| uptime(board::now().saturating_sub(part.since))),
            part.restarts,
            part.endpoint,
        );
        if let Some(end) = &part.last_end {
            println!("{:<14} ended the last time: {end}", "");
        }
    }
    Ok(all_well)
}

fn condition(part: &Part, answers: bool) -> &'static str {
    match (part.condition, part.process.is_some_and(|p| p.is_alive()), answers) {
        (Condition::Stopped, _, _) => "stopped",
        (_, false, _) => "crashed",
        (_, true, true) => "ready",
        (Condition::Starting, true, false) => "starting",
        (_, true, false) => "unready",
    }
}

fn uptime(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s}s"),
        (0, m, s) => format!("{m}m{s:02}s"),
        (h, m, _) => format!("{h}h{m:02}m"),
    }
}
