//! The state of the stack, in a file: the daemon writes it, every other command reads it.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::place::{Place, write_private};
use crate::ports::Ports;
use crate::process::Identity;
use crate::ready::Probe;

/// Everything that is known about a stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    pub daemon: Identity,
    pub phase: Phase,
    pub ports: Ports,
    /// One line per thing done since the start.
    pub progress: Vec<Line>,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Starting,
    Ready,
    Stopping,
    Failed(String),
}

/// Something that was done, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub what: String,
    pub note: String,
    pub milliseconds: u64,
}

/// One process of the stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub name: String,
    pub process: Option<Identity>,
    pub condition: Condition,
    /// Since when the process runs, in seconds since 1970.
    pub since: u64,
    /// Restarts after it had ended by itself.
    pub restarts: u32,
    /// Its last end, such as `signal: 9 (SIGKILL)`.
    pub last_end: Option<String>,
    pub endpoint: String,
    pub probe: Probe,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    Starting,
    Ready,
    /// It ended by itself and waits to be started again.
    Crashed,
    Stopped,
}

/// A handle to the state. Cheap to clone; every change is on disk at once.
#[derive(Clone)]
pub struct Board {
    path: PathBuf,
    state: Arc<Mutex<State>>,
}

impl Board {
    /// A new board, in place of what was there.
    pub fn create(place: &Place, ports: Ports) -> anyhow::Result<Self> {
        let state = State {
            daemon: Identity::me()?,
            phase: Phase::Starting,
            ports,
            progress: Vec::new(),
            parts: Vec::new(),
        };
        let board = Self { path: place.board(), state: Arc::new(Mutex::new(state)) };
        board.update(|_| ())?;
        Ok(board)
    }

    pub fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> anyhow::Result<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        write_private(&self.path, &serde_json::to_string_pretty(&*state)?)?;
        Ok(result)
    }

    /// Changes one part, which is added when it is new.
    pub fn part(&self, part: &str, change: impl FnOnce(&mut Part)) -> anyhow::Result<()> {
        self.update(|state| state.parts.iter_mut().find(|p| p.name == part).map(change))?
            .with_context(|| format!("{part} is not on the board"))
    }

    pub fn say(&self, what: &str, note: &str, took: Duration) -> anyhow::Result<()> {
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let line = Line { what: what.to_owned(), note: note.to_owned(), milliseconds };
        self.update(|state| state.progress.push(line))
    }

    pub fn read(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The state of the stack in this place, if there ever was one.
pub fn read(place: &Place) -> Option<State> {
    serde_json::from_str(&fs::read_to_string(place.board()).ok()?).ok()
}

/// The state of the stack in this place, if it is running.
pub fn running(place: &Place) -> Option<State> {
    read(place).filter(|state| state.daemon.is_alive())
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
