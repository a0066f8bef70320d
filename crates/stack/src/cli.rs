//! The command line.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command talks to people")]

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::{Parser, Subcommand};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::board::{self, Condition};
use crate::chaos::Fault;
use crate::parts::{jaeger, line, postgres, service};
use crate::place::write_private;
use crate::process::POLL;
use crate::settings::Settings;
use crate::versions::Step;
use crate::{chaos, daemon, demo, down, exec, logs, ports, settings, status, up, versions};

/// Runs the whole system on this machine, without Docker.
#[derive(Debug, Parser)]
#[command(name = "stack", version, after_help = format!("{}\nAnd:\n{}", ports::HELP, settings::HELP))]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything and wait until it is ready.
    Up,
    /// Stop everything. The data stays.
    Down,
    /// Show every part: ready or not, process, uptime, restarts.
    Status,
    /// Show what the parts have written.
    Logs {
        /// Go on as it is written.
        #[arg(short, long)]
        follow: bool,
        part: Option<String>,
    },
    /// End one part in good order and start it again.
    Restart { part: String },
    /// Deploy another program as a service; the one before stays, to go back to.
    Switch { service: String, program: PathBuf },
    /// One step of taking a service back to the program before: what incidents calls.
    Rollback { step: Step, service: String },
    /// Break something in the running stack, and watch the alert, the incident and its end.
    Chaos { fault: Fault },
    /// Run a command with a private PostgreSQL and Redis: DATABASE_URL, DATABASE_OWNER_URL, REDIS_URL.
    Exec {
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Run `migrate` on the databases of the running stack.
    Migrate {
        #[arg(trailing_var_arg = true, required = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Tell a member's story over the public APIs of the running stack.
    Demo {
        /// The stack runs in containers, on the ports of this environment.
        #[arg(long)]
        compose: bool,
    },
    /// Make the demo logins of a stack in containers, and show what there is.
    Welcome,
    /// Stop everything and remove its data, secrets and logs.
    Clean,
    #[command(hide = true)]
    Daemon,
    #[command(hide = true)]
    Jaeger { ui: u16, otlp: u16 },
    #[command(hide = true)]
    Line { port: u16 },
}

/// Runs the command; what went wrong is said in one message.
pub async fn run(cli: Cli) -> ExitCode {
    // A part of a stack, wherever that keeps its data: it knows nothing of the workspace.
    let part = match cli.command {
        Command::Jaeger { ui, otlp } => {
            Some(until_told(|stop| jaeger::serve(ui, otlp, stop)).await)
        }
        Command::Line { port } => Some(until_told(|stop| line::serve(port, stop)).await),
        _ => None,
    };
    if let Some(ended) = part {
        return exit(ended.map(|()| ExitCode::SUCCESS));
    }
    match Settings::from_env() {
        Ok(settings) => exit(dispatch(cli.command, settings).await),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(64)
        }
    }
}

fn exit(result: anyhow::Result<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command, settings: Settings) -> anyhow::Result<ExitCode> {
    let place = settings.place.clone();
    // Whatever we and the parts write, mail and metrics included, is for this user alone. What others run by us is theirs.
    if !matches!(command, Command::Exec { .. } | Command::Migrate { .. }) {
        umask(Mode::S_IRWXG | Mode::S_IRWXO);
    }
    match command {
        Command::Up => up::run(&settings).await?,
        Command::Down => down::run(&place).await?,
        Command::Status if !status::run(&place).await? => return Ok(ExitCode::FAILURE),
        Command::Status => {}
        Command::Logs { follow, part } => logs::run(&place, part.as_deref(), follow).await?,
        Command::Restart { part } => restart(&settings, &part).await?,
        Command::Chaos { fault } => chaos::run(&of_the_running(&settings)?, fault).await?,
        Command::Switch { service, program } => {
            versions::switch(&of_the_running(&settings)?, &service, &program).await?;
        }
        Command::Rollback { step, service } => {
            versions::rollback(&of_the_running(&settings)?, step, &service).await?;
        }
        Command::Exec { command } => return exec::run(&settings, &command).await,
        Command::Migrate { arguments } => migrate(&settings, &arguments)?,
        Command::Demo { compose: true } => demo::run(&settings).await?,
        Command::Demo { compose: false } => demo::run(&of_the_running(&settings)?).await?,
        Command::Welcome => {
            place.create()?;
            demo::people::make(&settings, demo::people::Auth::Compose).await?;
            up::welcome(&settings)?;
        }
        Command::Clean => clean(&settings).await?,
        Command::Daemon => {
            // Away from the terminal that started us, if we still belong to it.
            let _ = nix::unistd::setsid();
            daemon::run(settings).await?;
        }
        Command::Jaeger { .. } | Command::Line { .. } => unreachable!("served by `run`"),
    }
    Ok(ExitCode::SUCCESS)
}

/// Serves a part of ours until SIGTERM.
async fn until_told<F>(serve: impl FnOnce(CancellationToken) -> F) -> anyhow::Result<()>
where
    F: Future<Output = anyhow::Result<()>>,
{
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate())?;
    let guard = stop.clone().drop_guard();
    tokio::spawn(async move {
        terminate.recv().await;
        drop(guard);
    });
    serve(stop).await
}

/// The settings of the stack that is running, whatever this shell says about ports.
fn of_the_running(settings: &Settings) -> anyhow::Result<Settings> {
    let state =
        board::running(&settings.place).context("nothing is running; `make up` starts it")?;
    Ok(Settings { ports: state.ports, ..settings.clone() })
}

async fn restart(settings: &Settings, name: &str) -> anyhow::Result<()> {
    let place = &settings.place;
    let find = || {
        let state = board::running(place).context("nothing is running; `make up` starts it")?;
        let names: Vec<_> = state.parts.iter().map(|p| p.name.clone()).collect();
        let part = state.parts.into_iter().find(|p| p.name == name);
        let part =
            part.with_context(|| format!("no part `{name}`; there are {}", names.join(", ")))?;
        anyhow::Ok((state.daemon, part))
    };
    let (daemon, before) = find()?;
    write_private(&place.request(), &format!("restart {name}\n"))?;
    daemon.signal(Signal::SIGHUP);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let (_, now) = find()?;
        if now.process != before.process && now.condition == Condition::Ready {
            println!("{name} is ready again.");
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{name} is not ready again; see `stack logs {name}`");
        tokio::time::sleep(POLL).await;
    }
}

fn migrate(settings: &Settings, arguments: &[OsString]) -> anyhow::Result<()> {
    let settings = of_the_running(settings)?;
    let error = std::process::Command::new(settings.place.program("migrate"))
        .args(arguments)
        .envs(service::owners(&settings)?)
        .exec();
    bail!("cannot run migrate: {error}")
}

async fn clean(settings: &Settings) -> anyhow::Result<()> {
    let place = &settings.place;
    down::run(place).await?;
    postgres::remove(&place.data())?;
    if place.dir.exists() {
        fs::remove_dir_all(&place.dir)?;
    }
    Ok(())
}
