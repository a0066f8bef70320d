//! Tells an event that its consumer cannot take from a consumer that can take none.
//!
//! Many aggregates that fail alike are an outage: their events wait, with growing pauses, and none is given up. An
//! event is to blame only if, since it was last tried, its consumer took more events of its kind than fail now.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::relay::{MAX_PAUSE, OUTAGE_PAUSE};
use super::store::Due;

/// How each kind of event fares since this process leads.
#[derive(Default)]
pub(super) struct Reception(Mutex<HashMap<String, Kind>>);

#[derive(Default)]
struct Kind {
    /// How many were taken.
    taken: u64,
    /// Those that failed at their last try, with how many had been taken by then.
    failing: HashMap<i64, u64>,
    /// When the last one was taken, or the first one failed.
    since: Option<Instant>,
}

impl Reception {
    /// An event was delivered.
    pub(super) fn taken(&self, due: &Due) {
        self.with(due, |kind, position| {
            kind.taken += 1;
            kind.failing.remove(&position);
            kind.since = Some(Instant::now());
        });
    }

    /// An event is given up, and fails no more.
    pub(super) fn parked(&self, due: &Due) {
        self.with(due, |kind, position| kind.failing.remove(&position));
    }

    /// An event failed. The pause before it is tried again when its consumer is to blame, nothing when the event is.
    pub(super) fn failed(&self, due: &Due) -> Option<Duration> {
        self.with(due, |kind, position| {
            let since = *kind.since.get_or_insert_with(Instant::now);
            let before = kind.failing.insert(position, kind.taken);
            let others = kind.failing.len() as u64 - 1;
            let taken = before.map_or(0, |before| kind.taken - before);
            let to_blame = taken > others;
            (!to_blame).then(|| since.elapsed().clamp(OUTAGE_PAUSE, MAX_PAUSE))
        })
    }

    fn with<T>(&self, due: &Due, change: impl FnOnce(&mut Kind, i64) -> T) -> T {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(kinds.entry(due.event.kind.clone()).or_default(), due.position)
    }
}
