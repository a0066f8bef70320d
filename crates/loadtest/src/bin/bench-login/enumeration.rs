//! Measures how much the time of an answer tells about an address: the rank AUC of each kind of address
//! against one that nobody has. 0.5 tells nothing, 1 tells everything.

#![expect(clippy::print_stdout, reason = "the report is what was asked for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::ensure;

use crate::Config;
use crate::client::Connection;
use crate::members::{self, PASSWORD};

const KINDS: [&str; 5] = ["unknown", "known", "unverified", "disabled", "locked"];
const BOUNDS: std::ops::RangeInclusive<f64> = 0.45..=0.55;
const WRONG: &str = "not the password at all";

#[derive(Clone, Copy)]
enum Question {
    Login,
    Register,
    Forgot,
    Resend,
    /// A login at an address that is being guessed at, which is answered without a look at the password.
    Locked,
}

pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    for kind in KINDS.iter().skip(1) {
        members::make(config, kind, config.samples).await?;
    }
    members::make(config, "busy", 100).await?;
    println!(
        "n = {} of each kind, in turns, sample by sample; AUC against an address that nobody has, \
         and 95 % of what chance makes of it\n",
        config.samples
    );
    println!(
        "{:<10}{:>6}{:<4}{:<12}{:>8}{:>10}{:>12}{:>14}",
        "", "busy", "", "address", "AUC", "+-", "median, ms", "unknown, ms"
    );
    let mut beyond = 0;
    for busy in [0, 4] {
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> =
            (0..busy).map(|n| keep_busy(config.auth, n, Arc::clone(&stop))).collect();
        let load: Vec<_> = load.into_iter().map(tokio::spawn).collect();
        for question in [
            Question::Login,
            Question::Register,
            Question::Forgot,
            Question::Resend,
            Question::Locked,
        ] {
            beyond += ask(config, question, busy).await?;
        }
        stop.store(true, Ordering::Relaxed);
        for task in load {
            task.await??;
        }
    }
    ensure!(beyond == 0, "{beyond} beyond {BOUNDS:?}");
    Ok(())
}

/// Asks about every kind of address in turns, so that a slow second hits all; how many are beyond bounds.
async fn ask(config: &Config, question: Question, busy: usize) -> anyhow::Result<usize> {
    let mut connection = Connection::open(config.auth).await?;
    let kinds: &[&str] = match question {
        Question::Locked => &["unknown", "locked"],
        _ => &KINDS[..4],
    };
    let (name, path) = match question {
        Question::Login => ("login", "/v1/login"),
        Question::Register => ("register", "/v1/register"),
        Question::Forgot => ("forgot", "/v1/password/forgot"),
        Question::Resend => ("resend", "/v1/verification/resend"),
        Question::Locked => ("locked", "/v1/login"),
    };
    if matches!(question, Question::Locked) {
        for kind in kinds {
            for _ in 0..5 {
                let body = members::login(kind, 0, WRONG);
                connection.post(path, &body.replace("unknown0", "unknown-guessed")).await?;
            }
        }
    }
    let mut took = vec![Vec::new(); kinds.len()];
    for n in 0..config.samples {
        for index in permutation(kinds.len(), n) {
            let n = if matches!(question, Question::Locked) { 0 } else { n };
            let answer = connection.post(path, &body(question, kinds[index], n, busy)).await?;
            took[index].push(answer.took.as_secs_f64() * 1e3);
        }
    }
    let mut beyond = 0;
    for (kind, times) in kinds.iter().zip(&took).skip(1) {
        let auc = auc(&took[0], times);
        let verdict = if BOUNDS.contains(&auc) { "" } else { "  beyond" };
        beyond += usize::from(!BOUNDS.contains(&auc));
        println!(
            "{name:<10}{busy:>6}{:<4}{kind:<12}{auc:>8.3}{:>10.3}{:>12.2}{:>14.2}{verdict}",
            "",
            1.96 * standard_error(times.len()),
            median(times),
            median(&took[0]),
        );
    }
    Ok(beyond)
}

/// The `n`th order of so many: after all of them, each kind has come as often after each other one.
fn permutation(kinds: usize, n: usize) -> impl Iterator<Item = usize> {
    let mut left: Vec<_> = (0..kinds).collect();
    let mut rest = n;
    (1..=kinds).rev().map(move |choices| {
        let index = left.remove(rest % choices);
        rest /= choices;
        index
    })
}

fn body(question: Question, kind: &str, n: usize, busy: usize) -> String {
    match question {
        // A guess at each address once in each round: two are no lock.
        Question::Login => members::login(kind, n, WRONG),
        Question::Locked => members::login(kind, n, WRONG).replace("unknown0", "unknown-guessed"),
        Question::Register if kind == "unknown" => {
            // Nobody's once, so another one each time.
            let login = members::login(&format!("fresh{busy}x"), n, PASSWORD);
            login.replace('}', r#","display_name":"Bench"}"#)
        }
        Question::Register => {
            members::login(kind, n, PASSWORD).replace('}', r#","display_name":"Bench"}"#)
        }
        Question::Forgot | Question::Resend => format!(r#"{{"email":"{kind}{n}@example.org"}}"#),
    }
}

/// Signs in as fast as it goes, so that hashes are always being computed.
async fn keep_busy(
    auth: std::net::SocketAddr,
    n: usize,
    stop: Arc<AtomicBool>,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(auth).await?;
    for turn in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        connection.post("/v1/login", &members::login("busy", n * 25 + turn % 25, PASSWORD)).await?;
    }
    Ok(())
}

/// Returns the share of pairs in which one of `those` took longer than one of `these`; equal ones count half.
fn auc(these: &[f64], those: &[f64]) -> f64 {
    let mut wins = 0.0;
    for that in those {
        for this in these {
            wins += match that.total_cmp(this) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    wins / (these.len() * those.len()) as f64
}

/// Returns the standard error of the AUC of two equal samples of `n` (Mann and Whitney's U).
fn standard_error(n: usize) -> f64 {
    let n = n as f64;
    ((2.0 * n + 1.0) / (12.0 * n * n)).sqrt()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
