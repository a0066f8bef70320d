//! `stack exec -- command`: a command with a PostgreSQL and a Redis of its own, gone when it ends.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::board::{self, Board};
use crate::parts::postgres::{self, Cluster, Worth};
use crate::parts::redis;
use crate::place::Place;
use crate::ports::Ports;
use crate::settings::Settings;
use crate::supervise::Supervisor;
use crate::{down, preflight};

const PREFIX: &str = "stack-exec-";

/// Runs the command; its exit code is ours.
pub async fn run(settings: &Settings, command: &[OsString]) -> anyhow::Result<ExitCode> {
    preflight::check_data()?;
    clear_leftovers(&settings.place).await;

    let dir = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
    let place = Place { dir, ..settings.place.clone() };
    place.create()?;
    let ports = Ports::free()?;
    let board = Board::create(&place, ports.clone())?;
    let mut servers = Supervisor::new(board, place.clone(), settings.restart_delay);

    // From here on a signal may come, and the servers must not outlive us.
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    let result = tokio::select! {
        result = start(&place, &ports, &mut servers) => result,
        _ = any(&mut signals) => Err(anyhow::anyhow!("interrupted")),
    };
    let result = match result {
        Ok(()) => attend(&place, &ports, command, &mut signals).await,
        Err(error) => Err(error),
    };
    servers.stop(&[&["postgres", "redis"]]).await;
    remove(&place)?;
    result
}

async fn start(place: &Place, ports: &Ports, servers: &mut Supervisor) -> anyhow::Result<()> {
    let (cluster, _) = Cluster::open(place, ports.postgres, Worth::Scratch).await?;
    let parts = vec![cluster.part(place)?, redis::part(place, ports.redis, Worth::Scratch)?];
    servers.start(parts).await?;
    cluster.make_roles(place).await
}

/// The variables that [`run`] sets.
fn environment(place: &Place, ports: &Ports) -> anyhow::Result<Vec<(&'static str, String)>> {
    let host = format!("127.0.0.1:{}", ports.postgres);
    let migrations = place.workspace.join("migrations").display().to_string();
    Ok(vec![
        ("DATABASE_URL", format!("postgres://postgres@{host}/postgres")),
        ("DATABASE_OWNER_URL", format!("postgres://{{service}}_owner@{host}/{{service}}")),
        ("REDIS_URL", redis::scratch_url(ports.redis)),
        ("MIGRATIONS_DIR", migrations),
        // The databases are empty: queries are checked against crates/*/.sqlx while something compiles.
        ("SQLX_OFFLINE", "true".to_owned()),
    ])
}

async fn attend(
    place: &Place,
    ports: &Ports,
    command: &[OsString],
    signals: &mut [tokio::signal::unix::Signal],
) -> anyhow::Result<ExitCode> {
    let (program, arguments) =
        command.split_first().context("a command is missing: stack exec -- COMMAND")?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(environment(place, ports)?)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            // Ctrl-C reaches the child by itself, being in our group; the others come to us alone.
            kind = any(signals) => if let (Some(pid), true) = (pid, kind != 0) {
                let _ = kill(pid, Signal::SIGTERM);
            }
        }
    };
    let code = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Waits for one of the signals; returns its position in the list.
async fn any(signals: &mut [tokio::signal::unix::Signal]) -> usize {
    let waits = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    futures::future::select_all(waits).await.1
}

fn remove(place: &Place) -> anyhow::Result<()> {
    postgres::remove(&place.data())?;
    Ok(fs::remove_dir_all(&place.dir)?)
}

/// Ends and removes what a killed run of this command has left.
async fn clear_leftovers(ours: &Place) {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else { return };
    let left: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(|p| is_left(p)).collect();
    for dir in left {
        let place = Place { dir, ..ours.clone() };
        let gone = board::read(&place).is_some_and(|state| !state.daemon.is_alive());
        if gone && down::sweep(&place).await.is_ok() {
            let _ = remove(&place);
        }
    }
}

fn is_left(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
}
