//! Settings from the environment, read once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::place::Place;
use crate::ports::Ports;

/// The place, the ports and the behavior of the stack.
#[derive(Clone, Debug)]
pub struct Settings {
    pub place: Place,
    pub ports: Ports,
    /// Downtime of a crashed part before its first restart; doubles with every crash.
    pub restart_delay: Duration,
    /// Detours: a test that cuts a service off from another puts a proxy between them.
    pub via: Vec<Via>,
}

/// `from` reaches `to` through this port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    pub from: String,
    pub to: String,
    pub port: u16,
}

/// The part of `--help` about the other settings.
pub const HELP: &str = "\
  STACK_DIR                where the data, secrets and logs are; .stack beside the workspace
  STACK_WORKSPACE          the checkout; the directory above this one that has `migrations/`
  STACK_RESTART_DELAY_MS   how long a crashed part stays down before its first restart; 200
  STACK_VIA                detours for tests, such as booking>points=7001,booking>redis=7002";

impl Settings {
    pub fn from_env() -> anyhow::Result<Self> {
        let workspace = workspace()?;
        let dir = match variable("STACK_DIR") {
            Some(dir) => std::path::absolute(dir)?,
            None => workspace.join(".stack"),
        };
        let delay = match variable("STACK_RESTART_DELAY_MS") {
            Some(text) => text.parse().context("STACK_RESTART_DELAY_MS is not a number")?,
            None => 200,
        };
        let exe = std::env::current_exe().context("where this program is")?;
        let binaries = exe.parent().unwrap_or(Path::new("/")).to_path_buf();
        Ok(Self {
            place: Place { dir, workspace, binaries },
            ports: Ports::from_env()?,
            restart_delay: Duration::from_millis(delay),
            via: variable("STACK_VIA").map_or_else(|| Ok(Vec::new()), |text| detours(&text))?,
        })
    }

    /// The port by which `from` reaches `to`, which listens on `usual`.
    pub fn port(&self, from: &str, to: &str, usual: u16) -> u16 {
        let detour = self.via.iter().find(|via| via.from == from && via.to == to);
        detour.map_or(usual, |via| via.port)
    }
}

/// Reads `STACK_VIA`.
pub fn detours(text: &str) -> anyhow::Result<Vec<Via>> {
    let detour = |one: &str| {
        let (link, port) = one.split_once('=')?;
        let (from, to) = link.split_once('>')?;
        Some(Via { from: from.to_owned(), to: to.to_owned(), port: port.parse().ok()? })
    };
    let read = |one| detour(one).with_context(|| format!("STACK_VIA: `{one}` is no detour"));
    text.split(',').map(read).collect()
}

/// An environment variable; an empty one counts as not set.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The nearest directory above this one that has our migrations.
fn workspace() -> anyhow::Result<PathBuf> {
    if let Some(workspace) = variable("STACK_WORKSPACE") {
        return Ok(workspace.into());
    }
    let here = std::env::current_dir().context("the current directory")?;
    let found = here.ancestors().find(|dir| dir.join("migrations/points").is_dir());
    found
        .map(Path::to_path_buf)
        .context("run this inside the workspace (no `migrations/` here or above)")
}
