//! The program that a service runs, and the one before: `stack switch` deploys another one, `stack
//! rollback` takes the last one back, step by step, as the incidents service asks for it.

#![expect(clippy::print_stdout, reason = "a command talks to people, and to incidents")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::ValueEnum;
use nix::sys::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::board::{self, Condition};
use crate::parts::service;
use crate::place::{Place, write_private};
use crate::ports::Ports;
use crate::process::{Identity, POLL};
use crate::settings::Settings;

/// The longest time for a version to become ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// The time that it must stay ready before we believe it.
const STEADY: Duration = Duration::from_secs(2);

/// A step of a rollback. Each may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Step {
    /// Proves the version before: it starts beside the live one, and becomes ready.
    Validate,
    /// Notes which version it goes back to.
    Prepare,
    /// Runs that version in place of the live one.
    Perform,
    /// Waits until it is ready and stays so.
    Verify,
    /// Makes it the version of record.
    Record,
}

/// The versions of one service, as files that stay when their build is gone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Versions {
    current: Option<PathBuf>,
    previous: Option<PathBuf>,
    /// The target of a rollback that has begun.
    pending: Option<PathBuf>,
}

impl Versions {
    fn file(place: &Place, service: &str) -> PathBuf {
        place.versions().join(format!("{service}.json"))
    }

    fn read(place: &Place, service: &str) -> Self {
        let text = fs::read_to_string(Self::file(place, service)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn write(&self, place: &Place, service: &str) -> anyhow::Result<()> {
        write_private(&Self::file(place, service), &serde_json::to_string_pretty(self)?)
    }

    /// Returns the target of a rollback.
    fn target(&self) -> anyhow::Result<&Path> {
        let target = self.pending.as_ref().or(self.previous.as_ref());
        Ok(target.context("there is no version before")?)
    }
}

/// The program that was chosen for a service, if one was.
pub fn chosen(place: &Place, service: &str) -> Option<PathBuf> {
    Versions::read(place, service).current
}

/// Runs this program as the service from now on. Fails when it does not become ready; it stays
/// deployed all the same, as a broken version would.
pub async fn switch(settings: &Settings, service: &str, program: &Path) -> anyhow::Result<()> {
    let place = &settings.place;
    known(settings, service)?;
    fs::create_dir_all(place.versions())?;
    let mut versions = Versions::read(place, service);
    let live = match versions.current.take() {
        Some(live) => live,
        None => kept(place, service, &place.program(service))?,
    };
    let next = kept(place, service, program)?;
    versions = Versions { current: Some(next.clone()), previous: Some(live), pending: None };
    versions.write(place, service)?;
    let process = replace(settings, service).await?;
    println!("{service} is now {}, process {}", name(&next), process.pid);
    steady(settings, service).await
}

/// One step of taking a service back. What it says is for the record.
pub async fn rollback(settings: &Settings, step: Step, service: &str) -> anyhow::Result<()> {
    let place = &settings.place;
    known(settings, service)?;
    let mut versions = Versions::read(place, service);
    let target = versions.target()?.to_owned();
    match step {
        Step::Validate => {
            executable(&target)?;
            let took = prove(settings, service, &target).await?;
            println!("ready beside the live version after {:.1} s", took.as_secs_f32());
        }
        Step::Prepare => {
            versions.pending = Some(target.clone());
            versions.write(place, service)?;
            let live = versions.current.as_deref().map_or("the build".to_owned(), name);
            println!("from {live}");
        }
        Step::Perform => {
            ensure!(versions.pending.is_some(), "nothing is prepared");
            let broken = versions.current.replace(target.clone()).filter(|live| *live != target);
            versions.previous = broken.or(versions.previous);
            versions.write(place, service)?;
            println!("process {}", replace(settings, service).await?.pid);
        }
        Step::Verify => {
            steady(settings, service).await?;
            println!("ready, and steady for {} s", STEADY.as_secs());
        }
        Step::Record => {
            versions.pending = None;
            versions.write(place, service)?;
            println!("version of record");
        }
    }
    println!("{}", name(&target));
    Ok(())
}

fn known(settings: &Settings, service: &str) -> anyhow::Result<()> {
    let services = &settings.ports.services;
    ensure!(services.iter().any(|s| s.name == service), "no service `{service}`");
    Ok(())
}

fn name(program: &Path) -> String {
    program.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn executable(program: &Path) -> anyhow::Result<()> {
    let meta = fs::metadata(program).with_context(|| program.display().to_string())?;
    ensure!(meta.is_file() && meta.permissions().mode() & 0o111 != 0, "it cannot be run");
    Ok(())
}

/// The program under a name of its own, which outlives the next build.
fn kept(place: &Place, service: &str, program: &Path) -> anyhow::Result<PathBuf> {
    let program = program.canonicalize().with_context(|| program.display().to_string())?;
    executable(&program)?;
    let meta = fs::metadata(&program)?;
    let kept = place.versions().join(format!("{service}-{:x}-{:x}", meta.mtime(), meta.size()));
    if !kept.exists() && fs::hard_link(&program, &kept).is_err() {
        fs::copy(&program, &kept)?;
    }
    Ok(kept)
}

/// Starts the version beside the live one, on ports of its own, and waits until it is ready.
async fn prove(settings: &Settings, service: &str, target: &Path) -> anyhow::Result<Duration> {
    let free = Ports::free()?;
    let mut beside = settings.clone();
    for own in &mut beside.ports.services {
        if own.name == service {
            own.clone_from(free.service(service));
        }
    }
    let mut part = service::part(&beside, service)?;
    part.program.path = target.to_owned();
    let begun = Instant::now();
    let mut child = part.program.start(&settings.place.log(&format!("{service}-beside")))?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Identity::of);
    let ready = tokio::select! {
        ready = part.probe.holds_within(&settings.place, PATIENCE) => ready,
        _ = child.wait() => false,
    };
    let took = begun.elapsed();
    if let Some(process) = pid {
        let (_, status) = tokio::join!(process.end(part.stop, part.grace), child.wait());
        status?;
    }
    ensure!(ready, "it does not become ready: see the log of {service}-beside");
    Ok(took)
}

/// Has the daemon run what is chosen, and waits for the new process.
async fn replace(settings: &Settings, service: &str) -> anyhow::Result<Identity> {
    let place = &settings.place;
    let state = board::running(place).context("nothing is running; `make up` starts it")?;
    let process = |state: &board::State| {
        state.parts.iter().find(|p| p.name == service).and_then(|part| part.process)
    };
    let before = process(&state);
    write_private(&place.request(), &format!("restart {service}\n"))?;
    state.daemon.signal(Signal::SIGHUP);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = board::running(place).as_ref().and_then(process);
        if let Some(now) = now.filter(|now| Some(*now) != before) {
            return Ok(now);
        }
        ensure!(Instant::now() < deadline, "no new process");
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until the service is ready, and has been for a while in one process.
async fn steady(settings: &Settings, service: &str) -> anyhow::Result<()> {
    let place = &settings.place;
    let deadline = Instant::now() + PATIENCE;
    let mut since: Option<(Identity, Instant)> = None;
    loop {
        let state = board::running(place).context("the stack is gone")?;
        let part = state.parts.into_iter().find(|p| p.name == service).context("no such part")?;
        let process = part.process.filter(|_| part.condition == Condition::Ready);
        let ready = match process {
            Some(process) if part.probe.holds(place).await => Some(process),
            _ => None,
        };
        since = match (ready, since) {
            (Some(now), Some((then, at))) if now == then => Some((then, at)),
            (Some(now), _) => Some((now, Instant::now())),
            (None, _) => None,
        };
        if since.is_some_and(|(_, at)| at.elapsed() >= STEADY) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{service} does not become ready");
        tokio::time::sleep(POLL * 5).await;
    }
}
