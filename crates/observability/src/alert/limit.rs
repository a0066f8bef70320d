//! Limits alerts: a storm of them contains no more information than its first few.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Minimum time between two equal alerts.
const QUIET: Duration = Duration::from_secs(60);

/// Maximum alerts at once; then one every [`REFILL`].
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(6);

/// Maximum alerts remembered.
const KNOWN: usize = 1_000;

type Name = (Cow<'static, str>, String);

pub(super) struct Limit {
    known: HashMap<Name, Known>,
    tokens: u32,
    refilled: Instant,
}

struct Known {
    last: Instant,
    repeated: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Send it, with the number of equal alerts suppressed since the last one.
    Send {
        repeated: u64,
    },
    Repeated,
    Limited,
}

impl Limit {
    pub(super) fn new(now: Instant) -> Self {
        Self { known: HashMap::new(), tokens: BURST, refilled: now }
    }

    pub(super) fn admit(&mut self, name: Name, now: Instant) -> Verdict {
        if let Some(known) = self.known.get_mut(&name)
            && now.duration_since(known.last) < QUIET
        {
            known.repeated += 1;
            return Verdict::Repeated;
        }
        while self.tokens < BURST && now.duration_since(self.refilled) >= REFILL {
            self.tokens += 1;
            self.refilled += REFILL;
        }
        if self.tokens == BURST {
            self.refilled = now;
        }
        if self.tokens == 0 {
            return Verdict::Limited;
        }
        self.tokens -= 1;
        if self.known.len() >= KNOWN {
            self.known.retain(|_, known| now.duration_since(known.last) < QUIET);
        }
        let repeated = self.known.remove(&name).map_or(0, |known| known.repeated);
        if self.known.len() < KNOWN {
            self.known.insert(name, Known { last: now, repeated: 0 });
        }
        Verdict::Send { repeated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Name {
        ("Panic".into(), path.to_owned())
    }

    #[test]
    fn the_same_alert_comes_once_a_minute_with_how_often_it_happened() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        assert_eq!(limit.admit(name("/a"), start), Verdict::Send { repeated: 0 });
        for second in 1..60 {
            let now = start + Duration::from_secs(second);
            assert_eq!(limit.admit(name("/a"), now), Verdict::Repeated);
        }
        let now = start + QUIET;
        assert_eq!(limit.admit(name("/a"), now), Verdict::Send { repeated: 59 });
        assert_eq!(limit.admit(name("/b"), now), Verdict::Send { repeated: 0 });
    }

    #[test]
    fn a_storm_of_different_alerts_is_cut_to_ten_and_then_ten_a_minute() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let mut sent = |second: u64| {
            let now = start + Duration::from_secs(second);
            let names = (0..100).map(|n| name(&format!("{second}/{n}")));
            names.filter(|name| limit.admit(name.clone(), now) != Verdict::Limited).count()
        };
        assert_eq!(sent(0), 10);
        assert_eq!((1..=60).map(&mut sent).sum::<usize>(), 10);
        assert_eq!(sent(600), 10, "never more than a burst, however long it was quiet");
    }
}
