//! The breaker's rules. No I/O, and the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::Open;

/// The conditions for opening and closing.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Length of the window of calls that count.
    pub window: Duration,
    /// Minimum failures within the window for opening.
    pub max_failures: u32,
    /// Minimum share of failed calls within the window for opening, 0 to 1.
    pub failure_ratio: f64,
    /// Time after which a call counts as failed.
    pub slow: Duration,
    /// Time to stay open, ± 20 %, so that replicas do not retry simultaneously.
    pub reset_timeout: Duration,
    /// Number of calls let through when half-open; all of them must succeed.
    pub probes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            max_failures: 10,
            failure_ratio: 0.5,
            slow: Duration::from_secs(2),
            reset_timeout: Duration::from_secs(2),
            probes: 3,
        }
    }
}

/// The state of a breaker, with its value in the gauge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Closed = 0,
    HalfOpen = 1,
    Open = 2,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

#[derive(Clone, Copy)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen { since: Instant, in_flight: u32, succeeded: u32 },
}

/// Reports a call's result to the phase that admitted it, and to no other.
pub(super) struct Ticket {
    generation: u64,
    started: Instant,
}

pub(super) struct Machine {
    config: Config,
    phase: Phase,
    /// Number of phases so far. It identifies results of an earlier phase as stale.
    generation: u64,
    window: Window,
}

impl Machine {
    pub(super) fn new(config: Config) -> Self {
        Self { config, phase: Phase::Closed, generation: 0, window: Window::new(config.window) }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Closed => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    pub(super) fn admit(&mut self, now: Instant) -> Result<Ticket, Open> {
        if let Phase::Open { until } = self.phase {
            if now < until {
                return Err(Open { retry_after: until - now });
            }
            self.enter(Phase::HalfOpen { since: now, in_flight: 0, succeeded: 0 });
        }
        if let Phase::HalfOpen { since, in_flight, succeeded } = &mut self.phase {
            if *in_flight + *succeeded >= self.config.probes {
                let since = *since;
                if now - since >= self.config.slow {
                    self.open(now); // the probes hang; their results will be stale
                }
                return Err(Open { retry_after: self.config.reset_timeout });
            }
            *in_flight += 1;
        }
        Ok(Ticket { generation: self.generation, started: now })
    }

    pub(super) fn done(&mut self, ticket: Ticket, failed: bool, now: Instant) {
        if ticket.generation != self.generation {
            return;
        }
        let failed = failed || now - ticket.started > self.config.slow;
        match &mut self.phase {
            Phase::Closed => {
                self.window.count(now, failed);
                let (calls, failures) = self.window.sum(now);
                let ratio = f64::from(failures) / f64::from(calls.max(1));
                if failures >= self.config.max_failures && ratio >= self.config.failure_ratio {
                    self.open(now);
                }
            }
            Phase::HalfOpen { .. } if failed => self.open(now),
            Phase::HalfOpen { in_flight, succeeded, .. } => {
                *in_flight -= 1;
                *succeeded += 1;
                if *succeeded >= self.config.probes {
                    self.window = Window::new(self.config.window);
                    self.enter(Phase::Closed);
                }
            }
            Phase::Open { .. } => {} // no call of this generation was admitted
        }
    }

    /// Handles a canceled call. It counts as failed only if it was slow.
    pub(super) fn abandoned(&mut self, ticket: Ticket, now: Instant) {
        if now - ticket.started > self.config.slow {
            self.done(ticket, true, now);
        } else if ticket.generation == self.generation
            && let Phase::HalfOpen { in_flight, .. } = &mut self.phase
        {
            *in_flight -= 1;
        }
    }

    fn open(&mut self, now: Instant) {
        let jitter = rand::random_range(0.8..1.2);
        self.enter(Phase::Open { until: now + self.config.reset_timeout.mul_f64(jitter) });
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

/// Calls and failures of the recent past, in ten buckets.
struct Window {
    /// Length of a bucket.
    slice: Duration,
    origin: Option<Instant>,
    buckets: [Bucket; 10],
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    /// The bucket's number since `origin`.
    slice: u128,
    calls: u32,
    failures: u32,
}

impl Window {
    fn new(length: Duration) -> Self {
        let slice = (length / 10).max(Duration::from_millis(1));
        Self { slice, origin: None, buckets: Default::default() }
    }

    fn count(&mut self, now: Instant, failed: bool) {
        let slice = self.slice(now);
        let bucket = &mut self.buckets[(slice % 10) as usize];
        if bucket.slice != slice {
            *bucket = Bucket { slice, ..Bucket::default() };
        }
        bucket.calls = bucket.calls.saturating_add(1);
        bucket.failures = bucket.failures.saturating_add(failed.into());
    }

    fn sum(&mut self, now: Instant) -> (u32, u32) {
        let slice = self.slice(now);
        let recent = self.buckets.iter().filter(|bucket| bucket.slice + 10 > slice);
        recent.fold((0, 0), |(calls, failures), bucket| {
            (calls.saturating_add(bucket.calls), failures.saturating_add(bucket.failures))
        })
    }

    fn slice(&mut self, now: Instant) -> u128 {
        let age = now.duration_since(*self.origin.get_or_insert(now));
        age.as_nanos() / self.slice.as_nanos()
    }
}
