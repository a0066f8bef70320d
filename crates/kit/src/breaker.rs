//! A circuit breaker per dependency: windowed failure ratio, few half-open probes, stale results ignored. No
//! crate has all three: `docs/decisions/0003-circuit-breaker.md`.

mod machine;

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use observability::alert::Alert;
use observability::metrics::{self, IntCounterVec, IntGaugeVec};
use tokio::time::Instant;

pub use machine::{Config, State};
use machine::{Machine, Ticket};

static STATE: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    metrics::gauge_vec("circuit_breaker_state", "0 closed, 1 half-open, 2 open.", &["dependency"])
});
static TRANSITIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "circuit_breaker_transitions_total",
        "Changes of a circuit breaker's state.",
        &["dependency", "to"],
    )
});

/// A circuit breaker in front of one dependency. Cheap to clone; clones share their state.
#[derive(Clone)]
pub struct Breaker {
    inner: Arc<Inner>,
}

struct Inner {
    dependency: &'static str,
    machine: Mutex<Machine>,
}

/// The breaker is open; the call was not made.
#[derive(Debug, thiserror::Error)]
#[error("circuit breaker is open")]
pub struct Open {
    /// The time until a call may be let through.
    pub retry_after: Duration,
}

impl Breaker {
    /// Creates a closed breaker. `dependency` names it in metrics and logs.
    pub fn new(dependency: &'static str, config: Config) -> Self {
        STATE.with_label_values(&[dependency]).set(0);
        for to in [State::Closed, State::HalfOpen, State::Open] {
            TRANSITIONS.with_label_values(&[dependency, to.name()]);
        }
        Self { inner: Arc::new(Inner { dependency, machine: Mutex::new(Machine::new(config)) }) }
    }

    /// Makes the call, unless the breaker is open. `is_failure` returns true when the *dependency* failed; a
    /// business error, such as "not found", is a success here. A call that takes longer than [`Config::slow`]
    /// counts as failed, even if its caller has given up.
    pub async fn call<T>(
        &self,
        call: impl Future<Output = T>,
        is_failure: impl FnOnce(&T) -> bool,
    ) -> Result<T, Open> {
        let ticket = self.step(|machine| machine.admit(Instant::now()))?;
        let admitted = Admitted { breaker: self, ticket: Some(ticket) };
        let result = call.await;
        admitted.done(is_failure(&result));
        Ok(result)
    }

    /// Returns the current state.
    pub fn state(&self) -> State {
        self.lock().state()
    }

    /// Runs one step of the machine, and reports a change of state in metrics, log and alerts.
    fn step<T>(&self, step: impl FnOnce(&mut Machine) -> T) -> T {
        let mut machine = self.lock();
        let before = machine.state();
        let result = step(&mut machine);
        let after = machine.state();
        if before != after {
            let dependency = self.inner.dependency;
            STATE.with_label_values(&[dependency]).set(after as i64);
            TRANSITIONS.with_label_values(&[dependency, after.name()]).inc();
            drop(machine);
            tracing::warn!(dependency, from = before.name(), to = after.name(), "circuit breaker");
            if after == State::Open {
                let what = format!("calls to {dependency} fail and are paused");
                Alert::error("Circuit breaker open", what).path(dependency).raise();
            }
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.inner.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in flight. Dropped before it is done (canceled, panicked), it returns its probe.
struct Admitted<'a> {
    breaker: &'a Breaker,
    ticket: Option<Ticket>,
}

impl Admitted<'_> {
    fn done(mut self, failed: bool) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.step(|machine| machine.done(ticket, failed, Instant::now()));
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.breaker.step(|machine| machine.abandoned(ticket, Instant::now()));
        }
    }
}
