//! The command line and its output.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command talks to people")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::error::Error;
use crate::session::{Done, Session};
use crate::unpark::{Period, Unparked, unpark};
use crate::{source, target};

/// The time that `status` and `version` wait for a running migration.
const INSPECT_WAIT: Duration = Duration::from_millis(500);

/// Applies, reverts and inspects the versioned SQL of a service.
#[derive(Debug, Parser)]
#[command(name = "migrate", version, after_help = target::HELP)]
pub struct Cli {
    /// The service: a directory under MIGRATIONS_DIR, or `all`.
    service: String,

    /// The directory with `<service>/NNNNNN_name.{up,down}.sql`.
    #[arg(long = "dir", env = "MIGRATIONS_DIR", default_value = "migrations", global = true)]
    dir: PathBuf,

    /// Seconds to wait for another migration of the same database.
    #[arg(long, env = "MIGRATE_LOCK_WAIT", default_value_t = 60, global = true)]
    lock_wait: u64,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply all pending migrations, or the next N.
    Up { n: Option<usize> },
    /// Revert the newest N migrations, or all.
    #[command(group = clap::ArgGroup::new("much").required(true))]
    Down {
        #[arg(group = "much")]
        n: Option<usize>,
        #[arg(long, group = "much", requires = "yes")]
        all: bool,
        /// Confirms that all data of the service will be lost.
        #[arg(long)]
        yes: bool,
    },
    /// List every migration and whether it is applied. Exit 65 when the schema is dirty.
    Status,
    /// Print the version of the database. Exit 65 when the schema is dirty.
    Version,
    /// Record that the schema is at this version (0: empty), without running a migration.
    Force { version: i64 },
    /// Release the events that the outbox parked in a period. Safe to repeat; see docs/runbooks/outbox-parked.md.
    Unpark(Period),
    /// Write the two empty files of the next migration.
    Create { name: String },
}

/// Runs the command for one service or for all, and returns the exit code.
pub async fn run(cli: Cli) -> ExitCode {
    match run_all(&cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run_all(cli: &Cli) -> Result<(), Error> {
    let known = source::services(&cli.dir)?;
    let services = match cli.service.as_str() {
        "all" => known,
        service if known.iter().any(|k| k == service) => vec![service.to_owned()],
        service => {
            return Err(Error::Usage(format!(
                "no migrations for `{service}`; there are {} and `all`",
                known.join(", ")
            )));
        }
    };
    let of_many = services.len() > 1;
    for service in &services {
        run_one(cli, service, of_many).await?;
    }
    Ok(())
}

async fn run_one(cli: &Cli, service: &str, of_many: bool) -> Result<(), Error> {
    let steps = source::read(&cli.dir, service).await?;
    if let Command::Create { name } = &cli.command {
        if of_many {
            return Err(Error::Usage("`create` needs one service".to_owned()));
        }
        for file in source::create(&cli.dir, service, name, &steps)? {
            println!("{}", cli.dir.join(service).join(file).display());
        }
        return Ok(());
    }

    let target = target::from_env(service, of_many)?;
    if let Command::Unpark(period) = &cli.command {
        let Unparked { released, too_old } = unpark(service, &target, period).await?;
        let done = if period.dry_run { "would go again" } else { "go again" };
        println!(
            "{service:<10} {released} events {done}; {too_old} are older than 29 days and stay"
        );
        return Ok(());
    }
    let wait = match cli.command {
        Command::Status | Command::Version => INSPECT_WAIT,
        _ => Duration::from_secs(cli.lock_wait),
    };
    let mut session = Session::open(service, &target, steps, wait).await?;
    let say = |what: &'static str| {
        move |done: &Done| {
            let Done { version, name, took } = done;
            println!("{service:<10} {version:06} {name} {what} in {} ms", took.as_millis());
        }
    };
    match &cli.command {
        Command::Up { n } => {
            if session.up(n.unwrap_or(usize::MAX), say("applied")).await? == 0 {
                println!("{service:<10} is up to date at {}", session.version());
            }
        }
        Command::Down { n, .. } => {
            if session.down(n.unwrap_or(usize::MAX), say("reverted")).await? == 0 {
                println!("{service:<10} has nothing to revert");
            }
        }
        Command::Status => {
            print_status(service, &session);
            session.check()?;
        }
        Command::Version => {
            println!("{service:<10} {}", session.version());
            session.check()?;
        }
        Command::Force { version } => {
            session.force(*version).await?;
            println!("{service:<10} is now recorded at version {version}");
        }
        Command::Unpark(_) | Command::Create { .. } => {}
    }
    Ok(())
}

fn print_status(service: &str, session: &Session) {
    for step in session.steps() {
        let state = match session.records().iter().find(|r| r.version == step.version) {
            None => "pending".to_owned(),
            Some(record) if !record.success => "DIRTY".to_owned(),
            Some(record) if record.checksum != *step.up.checksum => "CHANGED".to_owned(),
            Some(record) => format!("applied {}", record.installed_on),
        };
        println!("{service:<10} {:06} {:<30} {state}", step.version, step.name);
    }
}
