//! The bounded queue between logging threads and the writer.
//!
//! A request never waits for a terminal or a pipe. When the reader is too slow, lines of info and below are
//! dropped. Warnings and errors have a reserve, then wait briefly, and only then are dropped as well. Dropped
//! lines are counted, and reported in the log when it works again.

use std::io::Write;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::IntCounterVec;
use tracing::Level;

use crate::metrics;

const CAPACITY: usize = 4 * 1024 * 1024;
/// Additional capacity for warnings and errors.
const RESERVE: usize = 1024 * 1024;
/// Time that a warning or an error waits for room.
const PATIENCE: Duration = Duration::from_millis(100);

static DROPPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "log_lines_dropped_total",
        "Log lines dropped because standard output was not read; `unwritten` ones could not be written.",
        &["level"],
    )
});

pub(crate) struct Queue {
    state: Mutex<State>,
    /// Signals that the queue has lines.
    filled: Condvar,
    /// Signals that lines were written.
    drained: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<u8>,
    /// True while the thread is inside `write`.
    writing: bool,
    /// True after a wait timed out; nobody waits again until a write succeeds.
    stuck: bool,
    /// Lines dropped since the last report.
    lost: u64,
}

impl Queue {
    /// Starts the thread that writes to `out`, until the process ends.
    pub(crate) fn start(mut out: Box<dyn Write + Send>) -> std::io::Result<Arc<Self>> {
        for level in ["error", "warn", "info", "debug", "trace", "unwritten"] {
            DROPPED.with_label_values(&[level]);
        }
        let queue = Arc::new(Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            drained: Condvar::new(),
        });
        let writer = queue.clone();
        thread::Builder::new().name("log".to_owned()).spawn(move || writer.drain(&mut *out))?;
        Ok(queue)
    }

    /// Adds a line, which ends in a newline.
    pub(crate) fn push(&self, level: Level, line: &[u8]) {
        let mut state = self.lock();
        if !has_room(&state, level, line) && level <= Level::WARN && !state.stuck {
            let full = |state: &mut State| !has_room(state, level, line);
            let waited = self.drained.wait_timeout_while(state, PATIENCE, full);
            state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
            state.stuck = !has_room(&state, level, line);
        }
        if has_room(&state, level, line) {
            let asleep = state.lines.is_empty();
            state.lines.extend_from_slice(line);
            drop(state);
            if asleep {
                self.filled.notify_one();
            }
        } else {
            state.lost += 1;
            drop(state);
            DROPPED.with_label_values(&[super::name(level)]).inc();
        }
    }

    /// Waits until all lines so far are written, or until `deadline`.
    pub(crate) fn flush(&self, deadline: Instant) {
        let patience = deadline.saturating_duration_since(Instant::now());
        let busy = |state: &mut State| !state.lines.is_empty() || state.writing;
        let _ = self.drained.wait_timeout_while(self.lock(), patience, busy);
    }

    fn drain(&self, out: &mut dyn Write) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.lock();
            while state.lines.is_empty() {
                state = self.filled.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
            std::mem::swap(&mut batch, &mut state.lines);
            state.writing = true;
            drop(state);

            if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
                let lines = batch.iter().filter(|byte| **byte == b'\n').count();
                DROPPED.with_label_values(&["unwritten"]).inc_by(lines as u64);
            }
            batch.clear();

            let mut state = self.lock();
            state.writing = false;
            state.stuck = false;
            let lost = std::mem::take(&mut state.lost);
            drop(state);
            if lost > 0 {
                tracing::warn!(lost, "log lines were dropped: standard output was not read");
            }
            self.drained.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn has_room(state: &State, level: Level, line: &[u8]) -> bool {
    let reserve = if level <= Level::WARN { RESERVE } else { 0 };
    state.lines.len() + line.len() <= CAPACITY + reserve
}
