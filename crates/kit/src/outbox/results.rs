//! Distinguishes a bad event from a broken consumer.
//!
//! A failure counts against an event if its consumer accepted others of the same kind since the event's last
//! failure. A refusal counts as well while few aggregates are refused: a consumer that refuses many and
//! accepts none has the wrong version, or lost its data. Uncounted failures are retried with growing pauses,
//! for at most [`PATIENCE`].

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::attempt::Failure;
use super::store::Due;

/// Number of aggregates refused in a row, with no event of their kind accepted, that means an outage of the
/// consumer.
const MANY: usize = 5;

/// Maximum time for retrying an event. Shorter than the 72 h for which a consumer keeps an idempotency key: a
/// later retry might have a second effect.
const PATIENCE: Duration = Duration::from_hours(48);

/// Minimum time for an event that is old at its first attempt.
const LATE_PATIENCE: Duration = Duration::from_hours(1);

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Shorter than the other, so that a backlog drains quickly after an outage.
const MAX_PAUSE_AWAY: Duration = Duration::from_secs(5);

/// The consequence of a failure.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Retry after a pause, with the number of counted failures.
    Retry(i32, Duration),
    Park(i32),
}

/// The results per kind of event since this process leads.
#[derive(Default)]
pub(super) struct Results(Mutex<HashMap<String, Kind>>);

#[derive(Default)]
struct Kind {
    /// Number of accepted events.
    accepted: u64,
    failing: HashMap<i64, Failing>,
    /// The aggregates refused since the last accepted event.
    refused: HashSet<String>,
}

/// An event that has failed and was not delivered yet.
struct Failing {
    first: Instant,
    /// The number of accepted events of its kind at its last failure.
    accepted: u64,
}

impl Results {
    /// Records a delivery.
    pub(super) fn accepted(&self, due: &Due) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(due.event.kind.clone()).or_default();
        kind.accepted += 1;
        kind.failing.remove(&due.position);
        kind.refused.clear();
    }

    /// Records a failure.
    pub(super) fn failed(&self, due: &Due, failure: Failure, now: Instant) -> Verdict {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(due.event.kind.clone()).or_default();
        if failure == Failure::EventRefused {
            kind.refused.insert(due.event.aggregate.clone());
        }
        let few = kind.refused.len() < MANY;
        let accepted = kind.accepted;
        let event = kind.failing.entry(due.position).or_insert(Failing { first: now, accepted });
        let others_accepted = accepted > event.accepted;
        event.accepted = accepted;
        let failing_for = now - event.first;

        let counts = match failure {
            Failure::NotAsked => false,
            Failure::ConsumerAway | Failure::ConsumerFailed | Failure::Panicked => others_accepted,
            Failure::EventRefused => others_accepted || few,
        };
        let attempts = if counts { due.attempts + 1 } else { due.attempts.max(1) };
        let too_old = due.age > PATIENCE && failing_for > LATE_PATIENCE;
        if too_old || (counts && attempts >= failure.allowed()) {
            kind.failing.remove(&due.position);
            return Verdict::Park(attempts);
        }
        let longest = match failure {
            Failure::NotAsked | Failure::ConsumerAway => MAX_PAUSE_AWAY,
            Failure::ConsumerFailed | Failure::EventRefused | Failure::Panicked => MAX_PAUSE,
        };
        // The pause grows with the event's own failures only.
        Verdict::Retry(attempts, failing_for.clamp(FIRST_PAUSE, longest))
    }
}

#[cfg(test)]
mod tests {
    use observability::Carrier;
    use uuid::Uuid;

    use super::*;
    use crate::outbox::Event;

    fn due(position: i64, age: Duration) -> Due {
        let event = Event {
            id: Uuid::from_u128(1),
            aggregate: position.to_string(),
            kind: "thing.happened".to_owned(),
            payload: serde_json::Value::Null,
            occurred_at: chrono::DateTime::UNIX_EPOCH,
        };
        let carrier = Carrier::default();
        Due { position, event, carrier, attempts: 0, settled: true, age }
    }

    /// Fails all of them until they are parked. The time that each one took.
    fn until_parked(mut events: Vec<Due>, failure: Failure) -> Vec<Duration> {
        let (results, began, mut now) = (Results::default(), Instant::now(), Instant::now());
        let mut parked = Vec::new();
        while !events.is_empty() {
            now += MAX_PAUSE;
            events.retain_mut(|due| {
                due.age += MAX_PAUSE;
                match results.failed(due, failure, now) {
                    Verdict::Park(_) => parked.push(now - began),
                    Verdict::Retry(attempts, _) => {
                        due.attempts = attempts;
                        return true;
                    }
                }
                false
            });
            assert!(now - began < Duration::from_hours(1000), "{} wait for ever", events.len());
        }
        parked
    }

    #[test]
    fn poison_is_parked_in_the_end_though_nothing_else_happens() {
        for count in [1, 3, 50] {
            for failure in [Failure::ConsumerAway, Failure::ConsumerFailed, Failure::EventRefused] {
                let events = (0..count).map(|n| due(n, Duration::ZERO)).collect();
                let parked = until_parked(events, failure);
                assert_eq!(parked.len() as i64, count);
                assert!(parked.iter().all(|took| *took < Duration::from_hours(49)), "{parked:?}");
            }
        }
    }

    #[test]
    fn an_old_event_is_given_an_hour() {
        let old = vec![due(1, Duration::from_hours(100))];
        let parked = until_parked(old, Failure::ConsumerFailed);
        assert!(parked[0] > LATE_PATIENCE, "{parked:?}");
    }

    #[test]
    fn the_pauses_of_an_event_grow_though_others_are_taken() {
        let (results, mut now) = (Results::default(), Instant::now());
        let (poison, other) = (due(1, Duration::ZERO), due(2, Duration::ZERO));
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let verdict = results.failed(&poison, Failure::ConsumerFailed, now);
            let Verdict::Retry(_, pause) = verdict else { panic!("{verdict:?}") };
            pauses.push(pause);
            now += pause;
            results.accepted(&other);
        }
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert_eq!(pauses[11], MAX_PAUSE);
    }
}
