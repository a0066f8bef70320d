//! Finds a short sequence that shows the same fault.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::judge::Violation;
use crate::run::Run;
use crate::step::{Body, Key, Step, Token, readable};

type Trace = Vec<(usize, Step)>;

/// The shortest sequence that was found in the time.
pub struct Shrunk {
    pub steps: Trace,
    pub violation: Violation,
    pub attempts: usize,
    /// False when the whole sequence, done again, did not show it.
    pub is_reproduced: bool,
}

pub async fn shrink(run: &Run<'_>, violation: Violation, time: Duration) -> Shrunk {
    let begun = Instant::now();
    let mut steps = run.trace[run.set_up..].to_vec();
    let mut shrunk = Shrunk { steps: steps.clone(), violation, attempts: 0, is_reproduced: false };
    let mut parts = 1;
    while begun.elapsed() < time {
        let size = steps.len().div_ceil(parts).max(1);
        let mut smaller = None;
        for part in 0..steps.len().div_ceil(size) {
            if begun.elapsed() > time {
                break;
            }
            let left = if parts == 1 { steps.clone() } else { without(&steps, part * size, size) };
            shrunk.attempts += 1;
            let nonce = format!("{}x{}", run.nonce, shrunk.attempts);
            if let Some(found) = replay(run, &nonce, &left, shrunk.violation.kind).await {
                shrunk.violation = found;
                shrunk.is_reproduced = true;
                smaller = Some(left);
                break;
            }
        }
        match smaller {
            Some(left) if parts == 1 => {
                (steps, parts) = (left, 2);
            }
            Some(left) => {
                parts = (parts - 1).max(2);
                steps = left;
            }
            None if size == 1 => break,
            None => parts = (parts * 2).min(steps.len()),
        }
        shrunk.steps.clone_from(&steps);
    }
    shrunk
}

/// Without these steps, and without those that need them.
fn without(steps: &Trace, from: usize, count: usize) -> Trace {
    let mut gone: HashSet<usize> = steps.iter().skip(from).take(count).map(|(n, _)| *n).collect();
    let mut left = Vec::new();
    for (n, step) in steps {
        if !gone.contains(n) && !step.needs(*n).iter().any(|needed| gone.contains(needed)) {
            left.push((*n, step.clone()));
        } else {
            gone.insert(*n);
        }
    }
    left
}

/// Does the set-up of `first` again, and then these steps; what it shows of this kind.
async fn replay(first: &Run<'_>, nonce: &str, steps: &Trace, kind: &str) -> Option<Violation> {
    let mut run = Run::new(first.world, 1, nonce);
    run.know_operator();
    for (n, step) in &first.trace[..first.set_up] {
        run.repeat(*n, step).await;
    }
    (run.set_up, run.places) = (first.set_up, first.places.clone());
    for (n, step) in steps {
        run.repeat(*n, step).await;
        if run.found.iter().any(|found| found.kind == kind) {
            run.mend().await;
            break;
        }
    }
    if !run.found.iter().any(|found| found.kind == kind) {
        run.judge().await;
    }
    run.found.into_iter().find(|found| found.kind == kind)
}

/// A sequence as people read it, with what was answered.
pub fn story(run: &Run<'_>, steps: &Trace) -> String {
    let mut text = String::new();
    for (n, step) in steps {
        match step {
            Step::Break(fault) => text += &format!("#{n} {fault}\n"),
            Step::Quiet => text += &format!("#{n} wait until it is quiet\n"),
            Step::Mend => text += &format!("#{n} mend everything\n"),
            Step::Mail { who, says } => {
                text += &format!("#{n} {} reads the mail `{says}`\n", run.cast[*who].name);
            }
            Step::Line { who } => text += &format!("#{n} {} reads LINE\n", run.cast[*who].name),
            Step::Role { who, verb, role } => {
                text += &format!("#{n} auth {verb} {role} {}\n", run.cast[*who].name);
            }
            Step::Forge { text: alert } => {
                text += &format!("#{n} a stranger tells Alertmanager {alert:?}\n")
            }
            _ => {}
        }
        let together = matches!(step, Step::Together(_));
        for (m, call) in step.calls().into_iter().enumerate() {
            let route = &run.world.api.routes[call.route];
            let mut path = route.path.clone();
            for (slot, value) in route.slots().iter().zip(&call.path) {
                let id = readable(value).trim_matches('"').to_owned();
                path = path.replace(&format!("{{{slot}}}"), &id);
            }
            let query: Vec<_> =
                call.query.iter().map(|(k, v)| format!("{k}={}", readable(v))).collect();
            let query =
                if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
            let body = match &call.body {
                Body::None => String::new(),
                Body::Json(value) => format!(" {}", readable(value)),
                Body::Raw { media, text } => format!(" {media} {:.40?}", text),
            };
            let key = match &call.key {
                Key::Of(at) => format!(" (the key of {at})"),
                Key::Text(key) => format!(" (key {key:.30})"),
                Key::None | Key::Fresh => String::new(),
            };
            let token = match &call.token {
                Token::Of(at) => format!(" (the token of {at})"),
                Token::Text(_) => " (another token)".to_owned(),
                Token::None if !route.is_open => " (no token)".to_owned(),
                _ => String::new(),
            };
            let answer = run.log.iter().rev().find(|d| d.at.step == *n && d.at.call == m);
            let answer = answer.map_or("not sent".to_owned(), |done| done.answer.short());
            let beside = if together { " at once" } else { "" };
            let who = run.cast[call.who].name;
            text += &format!(
                "#{n}.{m} {who}{beside}: {} {} {path}{query}{body}{key}{token} → {answer}\n",
                route.service, route.method
            );
        }
    }
    text
}
