//! The background process: brings the parts up, keeps them running, takes them down.
//!
//! It is told what to do by signals: SIGTERM ends everything, SIGHUP says that there is a request in
//! the request file. What it does is on the board.

#![expect(clippy::print_stderr, reason = "its standard error is its log")]

use std::fs;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::board::{Board, Phase};
use crate::demo::people;
use crate::parts::postgres::{Cluster, Worth};
use crate::parts::{alertmanager, jaeger, line, prometheus, redis, service};
use crate::ports::SERVICES;
use crate::settings::Settings;
use crate::supervise::Supervisor;

/// Parts that start together, in order; they stop in the opposite order. Traces, metrics and alerts
/// start before the services, and see their end.
const GROUPS: [&[&str]; 3] =
    [&["postgres"], &["redis", "jaeger", "line", "prometheus", "alertmanager"], &SERVICES];

/// Runs the stack until it is told to stop.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    settings.place.create()?;
    // Held to the end of this process, however it ends.
    let lock = fs::File::create(settings.place.lock())?;
    lock.try_lock().context("another stack runs in this directory")?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;

    let board = Board::create(&settings.place, settings.ports.clone())?;
    let place = settings.place.clone();
    let mut supervisor = Supervisor::new(board.clone(), place, settings.restart_delay);

    let result = tokio::select! {
        result = bring_up(&settings, &board, &mut supervisor) => result,
        _ = terminate.recv() => Err(anyhow::anyhow!("stopped before it was up")),
        _ = interrupt.recv() => Err(anyhow::anyhow!("stopped before it was up")),
    };
    if result.is_ok() {
        board.update(|state| state.phase = Phase::Ready)?;
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                _ = hangup.recv() => serve_request(&settings, &supervisor).await,
            }
        }
        board.update(|state| {
            state.phase = Phase::Stopping;
            state.progress.clear();
        })?;
    }
    supervisor.stop(&GROUPS).await;
    if let Err(error) = &result {
        eprintln!("{error:#}");
        board.update(|state| state.phase = Phase::Failed(format!("{error:#}")))?;
    }
    result
}

async fn bring_up(
    settings: &Settings,
    board: &Board,
    supervisor: &mut Supervisor,
) -> anyhow::Result<()> {
    let Settings { place, ports, .. } = settings;
    rotate_logs(settings)?;
    // A start runs what was built; what was switched to was for the run before.
    let _ = fs::remove_dir_all(place.versions());

    let begun = Instant::now();
    let (cluster, made) = Cluster::open(place, ports.postgres, Worth::Kept).await?;
    if made {
        board.say("database cluster", "made, with passwords of its own", begun.elapsed())?;
    }
    // PostgreSQL and everything made in it, beside the parts that do not need it.
    let mut others = Supervisor::new(board.clone(), place.clone(), settings.restart_delay);
    let data = async {
        supervisor.start(vec![cluster.part(place)?]).await?;
        let begun = Instant::now();
        cluster.make_roles(place).await?;
        board.say("roles", "an owner and an app role per service", begun.elapsed())?;
        let begun = Instant::now();
        service::migrate(settings).await?;
        board.say("migrations", "every database is up to date", begun.elapsed())?;
        let begun = Instant::now();
        service::make_clients(settings).await?;
        board.say("service clients", "known to auth", begun.elapsed())
    };
    let beside = others.start(vec![
        redis::part(place, ports.redis, Worth::Kept)?,
        jaeger::part(settings)?,
        line::part(settings)?,
        prometheus::part(settings)?,
        alertmanager::part(settings)?,
    ]);
    let (data, beside) = tokio::join!(data, beside);
    supervisor.adopt(others);
    data?;
    beside?;

    let parts = SERVICES.iter().map(|name| service::part(settings, name));
    supervisor.start(parts.collect::<anyhow::Result<_>>()?).await?;
    let begun = Instant::now();
    people::make(settings, people::Auth::Native).await?;
    board.say("demo logins", "a member, a merchant, an operator", begun.elapsed())
}

/// `restart <part>`, a line each.
async fn serve_request(settings: &Settings, supervisor: &Supervisor) {
    let request = settings.place.request();
    let text = fs::read_to_string(&request).unwrap_or_default();
    let _ = fs::remove_file(&request);
    for name in text.lines().filter_map(|line| line.strip_prefix("restart ")) {
        eprintln!("restarting {name}");
        supervisor.restart(name).await;
    }
}

/// A log begins anew when it has become large; the one before is kept.
fn rotate_logs(settings: &Settings) -> anyhow::Result<()> {
    const LARGE: u64 = 20 << 20;
    for entry in fs::read_dir(settings.place.logs())?.flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "log") && entry.metadata()?.len() > LARGE {
            fs::rename(&path, path.with_extension("log.1"))?;
        }
    }
    Ok(())
}

/// The longest time for all parts together to end.
pub const LONGEST_STOP: Duration = Duration::from_secs(60);
