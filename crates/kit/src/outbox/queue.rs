//! The aggregates that wait for a delivery. Failed events are queued separately.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::store::{self, Due, Turn};
use crate::postgres::Leader;

/// Time between two polls. Polling an empty outbox reads one index page; it is simpler than LISTEN and cannot
/// miss a notification.
pub(super) const POLL: Duration = Duration::from_millis(100);

pub(super) struct Queue {
    pub(super) turn: Turn,
    /// Maximum aggregates delivered at the same time.
    at_once: usize,
    waiting: VecDeque<(String, Vec<Due>)>,
    /// The aggregates being delivered.
    pub(super) busy: HashSet<String>,
    next_poll: Instant,
}

impl Queue {
    pub(super) fn new(turn: Turn, at_once: usize) -> Self {
        let (waiting, busy) = Default::default();
        Self { turn, at_once, waiting, busy, next_poll: Instant::now() }
    }

    /// Reads due events when the queue is empty. Returns true if it has read; fails when leadership is lost.
    pub(super) async fn refill(
        &mut self,
        leader: &Leader,
        except: &[String],
    ) -> sqlx::Result<bool> {
        let now = Instant::now();
        if !self.waiting.is_empty() || self.busy.len() >= self.at_once || now < self.next_poll {
            return Ok(false);
        }
        let due = leader.ask(async |db| store::due(db, self.turn, except).await).await?;
        self.waiting.extend(by_aggregate(due));
        if self.waiting.is_empty() {
            // A slow query, over many held events, is not repeated ten times a second.
            self.next_poll = now + POLL.max(now.elapsed() * 4);
        }
        Ok(true)
    }

    /// Returns the aggregates that wait here or are being delivered.
    pub(super) fn aggregates(&self) -> impl Iterator<Item = &String> {
        self.busy.iter().chain(self.waiting.iter().map(|(aggregate, _)| aggregate))
    }

    /// Returns the next aggregate, and marks it as busy.
    pub(super) fn next(&mut self) -> Option<(Turn, String, Vec<Due>)> {
        if self.busy.len() >= self.at_once {
            return None;
        }
        let (aggregate, events) = self.waiting.pop_front()?;
        self.busy.insert(aggregate.clone());
        Some((self.turn, aggregate, events))
    }
}

/// Groups the settled first events of each aggregate, in order.
fn by_aggregate(due: Vec<Due>) -> Vec<(String, Vec<Due>)> {
    let mut groups: Vec<(String, Vec<Due>)> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    let mut unsettled: HashSet<String> = HashSet::new();
    for due in due {
        let aggregate = due.event.aggregate.clone();
        if !due.settled {
            unsettled.insert(aggregate);
        } else if !unsettled.contains(&aggregate) {
            let group = *index.entry(aggregate.clone()).or_insert_with(|| {
                groups.push((aggregate, Vec::new()));
                groups.len() - 1
            });
            groups[group].1.push(due);
        }
    }
    groups
}
