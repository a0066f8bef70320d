//! `stack up`: starts the daemon and shows what it does until everything is ready.

#![expect(clippy::print_stdout, reason = "a command talks to people")]

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};

use crate::board::{self, Line, Phase, State};
use crate::demo::people;
use crate::process::POLL;
use crate::settings::Settings;
use crate::{down, preflight};

/// Starts everything; returns when it is ready.
pub async fn run(settings: &Settings) -> anyhow::Result<()> {
    let begun = Instant::now();
    if let Some(state) = board::running(&settings.place) {
        println!("It is running already.");
        return finish(settings, follow(settings, state).await?);
    }
    down::sweep(&settings.place).await?;
    preflight::check(settings).await?;
    settings.place.create()?;
    let _ = fs::remove_file(settings.place.board());

    start_daemon(settings)?;
    let deadline = Instant::now() + Duration::from_secs(10);
    let state = loop {
        if let Some(state) = board::read(&settings.place) {
            break state;
        }
        ensure!(Instant::now() < deadline, "the daemon does not start: see {}", log(settings));
        tokio::time::sleep(POLL).await;
    };
    let state = follow(settings, state).await?;
    println!("\nReady in {:.1} s.", begun.elapsed().as_secs_f32());
    finish(settings, state)
}

fn log(settings: &Settings) -> String {
    settings.place.log("stack").display().to_string()
}

fn start_daemon(settings: &Settings) -> anyhow::Result<()> {
    let log = fs::File::options().create(true).append(true).open(settings.place.log("stack"))?;
    Command::new(std::env::current_exe()?)
        .arg("daemon")
        .current_dir(&settings.place.workspace)
        .env("STACK_DIR", &settings.place.dir)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C here ends the watching, not the stack.
        .process_group(0)
        .spawn()
        .context("cannot start the daemon")?;
    Ok(())
}

/// Prints each new line of progress until it is ready or has failed.
async fn follow(settings: &Settings, mut state: State) -> anyhow::Result<State> {
    let mut shown = 0;
    loop {
        for line in state.progress.iter().skip(shown) {
            print(line);
        }
        shown = state.progress.len();
        match &state.phase {
            Phase::Ready => return Ok(state),
            Phase::Starting if state.daemon.is_alive() => {}
            Phase::Failed(why) => bail!("{why}"),
            _ => bail!("the daemon has ended: see {}", log(settings)),
        }
        tokio::time::sleep(POLL).await;
        state = board::read(&settings.place).unwrap_or(state);
    }
}

pub fn print(Line { what, note, milliseconds }: &Line) {
    #[expect(clippy::cast_precision_loss, reason = "tenths of a second are enough")]
    let seconds = *milliseconds as f64 / 1000.0;
    println!("  {what:<17} {seconds:>5.1} s   {note}");
}

fn finish(settings: &Settings, state: State) -> anyhow::Result<()> {
    welcome(&Settings { ports: state.ports, ..settings.clone() })
}

/// Prints the URLs, the demo logins and the next commands.
pub fn welcome(settings: &Settings) -> anyhow::Result<()> {
    let ports = &settings.ports;
    println!();
    for service in &ports.services {
        println!("  {:<14} http://127.0.0.1:{}/docs", service.name, service.http);
    }
    println!("  {:<14} http://127.0.0.1:{}", "status page", ports.service("incidents").http);
    println!("  {:<14} http://127.0.0.1:{}", "traces", ports.jaeger);
    println!("  {:<14} http://127.0.0.1:{}", "metrics", ports.prometheus);
    println!("  {:<14} http://127.0.0.1:{}", "alerts", ports.alertmanager);
    println!("\n  demo logins, all with the password {}", people::password(&settings.place)?);
    for person in people::ALL {
        println!("  {:<14} {}", person.title, person.email);
    }
    println!("\nNext:  make demo    make status    make logs    make down");
    Ok(())
}
