//! More logins than the machine can hash: how many get through, and how everybody else fares.

#![expect(clippy::print_stdout, reason = "the report is what was asked for")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::sync::Mutex;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Config;
use crate::client::Connection;
use crate::members::{self, PASSWORD};
use crate::spent::Spent;

const MEMBERS: usize = 2000;
const RAW: Duration = Duration::from_secs(5);
const CLOSED: Duration = Duration::from_secs(15);
const QUIET: Duration = Duration::from_secs(5);

pub(crate) async fn run(config: &Config) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    members::make(config, "flood", MEMBERS).await?;
    let before = members::raw_rate(cores, RAW)?;
    let begun = Spent::now(config);
    let closed = closed_loop(config, cores * 2).await?;
    let (spent, passed) = Spent::since(config, begun);
    let raw = f64::midpoint(before, members::raw_rate(cores, RAW)?);
    let per_core = |rate: f64| rate / cores as f64;
    println!("argon2id 19 MiB t=2 p=1 on {cores} cores, all processes on this machine\n");
    println!("{:<34}{:>10}{:>12}", "", "per second", "per core");
    println!("{:<34}{raw:>10.1}{:>12.1}", "argon2 alone", per_core(raw));
    println!("{:<34}{closed:>10.1}{:>12.1}", "logins, as many as go", per_core(closed));
    println!("{:<34}{:>10.2}   (wanted: 0.90)", "ratio", closed / raw);
    print_spent(&spent, passed, closed, raw, cores);

    let quiet = Others::watch(config, QUIET, async {}).await?;
    let (flood, recovered);
    let during;
    {
        let logins = Mutex::new(None);
        let begun = Spent::now(config);
        during = Others::watch(config, Duration::ZERO, async {
            *logins.lock().await = Some(flooded(config).await);
        })
        .await?;
        let (spent, _) = Spent::since(config, begun);
        let each = (spent.rest_of_auth.as_secs_f64() + spent.postgres.as_secs_f64()) * 1e3
            / f64::from(config.offered * config.seconds);
        println!(
            "of auth without hashing and of PostgreSQL, each login of the flood cost {each:.2} ms"
        );
        flood = logins.into_inner().transpose()?.unwrap_or_default();
        recovered = back_to_normal(config).await?;
    }
    println!("{} logins/s offered for {} s:", config.offered, config.seconds);
    println!(
        "  {:.1}/s signed in, {} told to come back (p99 {:.0} ms), {} anything else",
        flood.signed_in as f64 / f64::from(config.seconds),
        flood.refused.len(),
        percentile(&flood.refused, 99),
        flood.other,
    );
    println!("\n{:<28}{:>10}{:>10}{:>10}{:>10}", "others, ms", "p50", "p99", "max", "failed");
    for (name, figures) in [("before", &quiet), ("during", &during)] {
        for (path, took, failed) in figures.rows() {
            let [p50, p99, max] = [50, 99, 100].map(|share| percentile(took, share));
            println!(
                "{:<28}{p50:>10.1}{p99:>10.1}{max:>10.1}{failed:>10}",
                format!("{name} {path}")
            );
        }
    }
    println!("\nwanted during it: p99 below 50 ms, no failure of /live");
    println!("a login is as quick as before after {:.1} s (wanted: 2)", recovered.as_secs_f64());
    Ok(())
}

/// Prints the CPU time of each part, and the logins on auth's share of it against argon2 alone.
fn print_spent(spent: &Spent, passed: Duration, closed: f64, raw: f64, cores: usize) {
    let all = passed.as_secs_f64() * cores as f64;
    let logins = closed * passed.as_secs_f64();
    let row = |name: &str, seconds: f64| {
        let share = 100.0 * seconds / all;
        println!("  {name:<32}{:>10.2}{share:>10.0} %", seconds * 1e3 / logins);
    };
    println!("\n{:<34}{:>10}{:>12}", "of which, CPU", "ms a login", "share");
    let parts = [
        ("hashing", spent.hashing),
        ("the rest of auth", spent.rest_of_auth),
        ("PostgreSQL", spent.postgres),
        ("the clients", spent.clients),
    ];
    for (name, used) in parts {
        row(name, used.as_secs_f64());
    }
    let used: Duration = parts.iter().map(|(_, used)| *used).sum();
    row("idle, and what else runs here", (all - used.as_secs_f64()).max(0.0));
    println!("  {:<32}{:>10.2}", "a hash alone", cores as f64 * 1e3 / raw);
    let ours = (spent.hashing + spent.rest_of_auth).as_secs_f64();
    println!("of the CPU that auth had: {:.2} of argon2 alone\n", closed / (raw * ours / all));
}

/// Logins each second when each client waits for its answer.
async fn closed_loop(config: &Config, clients: usize) -> anyhow::Result<f64> {
    let next = Arc::new(AtomicUsize::new(0));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (next, auth) = (Arc::clone(&next), config.auth);
        tasks.push(tokio::spawn(async move {
            let mut connection = Connection::open(auth).await?;
            let mut done = 0;
            while begun.elapsed() < CLOSED {
                let n = next.fetch_add(1, Ordering::Relaxed) % MEMBERS;
                let body = members::login("flood", n, PASSWORD);
                let answer = connection.post("/v1/login", &body).await?;
                ensure!(answer.status == 200, "{} {}", answer.status, answer.body);
                done += 1;
            }
            Ok(done)
        }));
    }
    let mut done = 0;
    for task in tasks {
        done += task.await??;
    }
    Ok(f64::from(done) / begun.elapsed().as_secs_f64())
}

#[derive(Default)]
struct Flood {
    signed_in: usize,
    /// 503: how long each took, in milliseconds.
    refused: Vec<f64>,
    other: usize,
}

/// One login after the other at its time, whether or not those before it have been answered.
async fn flooded(config: &Config) -> anyhow::Result<Flood> {
    let flood = Arc::new(Mutex::new(Flood::default()));
    let idle = Arc::new(Mutex::new(Vec::new()));
    let mut tick = interval(Duration::from_secs(1) / config.offered);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut tasks = Vec::new();
    for n in 0..(config.offered * config.seconds) as usize {
        tick.tick().await;
        let (flood, idle, auth) = (Arc::clone(&flood), Arc::clone(&idle), config.auth);
        tasks.push(tokio::spawn(async move {
            let connection: Option<Connection> = idle.lock().await.pop();
            let mut connection = match connection {
                Some(connection) => connection,
                None => Connection::open(auth).await?,
            };
            let body = members::login("flood", n % MEMBERS, PASSWORD);
            let answer = connection.post("/v1/login", &body).await?;
            idle.lock().await.push(connection);
            let mut flood = flood.lock().await;
            match answer.status {
                200 => flood.signed_in += 1,
                503 if answer.body.contains("auth_overloaded") => {
                    flood.refused.push(answer.took.as_secs_f64() * 1e3);
                }
                _ => flood.other += 1,
            }
            anyhow::Ok(())
        }));
    }
    let mut broken = 0;
    for task in tasks {
        broken += usize::from(task.await?.is_err());
    }
    let mut flood = std::mem::take(&mut *flood.lock().await);
    flood.other += broken;
    Ok(flood)
}

/// Waits until a login takes at most twice its time on a quiet machine; returns the time waited.
async fn back_to_normal(config: &Config) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut connection = Connection::open(config.auth).await?;
    for n in 0.. {
        let body = members::login("flood", n % MEMBERS, PASSWORD);
        let answer = connection.post("/v1/login", &body).await?;
        if answer.status == 200 && answer.took < Duration::from_millis(120) {
            break;
        }
        ensure!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
    }
    Ok(begun.elapsed())
}

const PATHS: [&str; 4] = ["/live", "/v1/me", "/.well-known/jwks.json", "/v1/refresh"];

/// Other requests during the flood, for each path: their times in milliseconds, and the refusals.
#[derive(Default)]
struct Others([(Vec<f64>, usize); 4]);

impl Others {
    /// For as long as `what` takes, and at least this long.
    async fn watch(
        config: &Config,
        least: Duration,
        what: impl Future<Output = ()>,
    ) -> anyhow::Result<Self> {
        let mut connection = Connection::open(config.auth).await?;
        let body = members::login("flood", 0, PASSWORD);
        let session = connection.post("/v1/login", &body).await?;
        let session: serde_json::Value = serde_json::from_str(&session.body)?;
        let stop = Arc::new(AtomicBool::new(false));
        let tasks = PATHS.map(|path| {
            let (stop, session, auth) = (Arc::clone(&stop), session.clone(), config.auth);
            tokio::spawn(async move { probe(auth, path, session, &stop).await })
        });
        tokio::join!(what, sleep(least));
        stop.store(true, Ordering::Relaxed);
        let mut others = Self::default();
        for (all, task) in others.0.iter_mut().zip(tasks) {
            *all = task.await??;
        }
        Ok(others)
    }

    fn rows(&self) -> impl Iterator<Item = (&'static str, &Vec<f64>, usize)> {
        PATHS.iter().zip(&self.0).map(|(path, (took, failed))| (*path, took, *failed))
    }
}

async fn probe(
    auth: std::net::SocketAddr,
    path: &str,
    mut session: serde_json::Value,
    stop: &AtomicBool,
) -> anyhow::Result<(Vec<f64>, usize)> {
    let mut connection = Connection::open(auth).await?;
    let (mut took, mut failed) = (Vec::new(), 0);
    let word = |session: &serde_json::Value, name: &str| {
        session[name].as_str().unwrap_or_default().to_owned()
    };
    let access = if path == "/v1/me" { word(&session, "access_token") } else { String::new() };
    while !stop.load(Ordering::Relaxed) {
        let answer = if path == "/v1/refresh" {
            let body = serde_json::json!({ "refresh_token": word(&session, "refresh_token") });
            connection.post(path, &body.to_string()).await
        } else {
            connection.get(path, &access).await
        };
        match answer {
            Ok(answer) if answer.status == 200 => {
                took.push(answer.took.as_secs_f64() * 1e3);
                if path == "/v1/refresh" {
                    session = serde_json::from_str(&answer.body)?;
                }
            }
            _ => failed += 1,
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok((took, failed))
}

fn percentile(values: &[f64], share: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get((sorted.len().max(1) - 1) * share / 100).copied().unwrap_or_default()
}
