//! Rules that were broken, and writers that met.

use std::sync::LazyLock;

use prometheus::IntCounterVec;

use super::counter_vec;
use crate::alert::Alert;

static INVARIANTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "invariant_violation_total",
        "States that a rule of the domain forbids, found before they were stored.",
        &["aggregate", "invariant"],
    )
});

static CONFLICTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "concurrency_conflict_total",
        "Writes refused because another one came first.",
        &["aggregate"],
    )
});

/// Declares an invariant at start, so that its first violation is seen by `rate()`.
pub fn declare_invariant(aggregate: &'static str, invariant: &'static str) {
    INVARIANTS.with_label_values(&[aggregate, invariant]);
}

/// Counts a state that the domain's rule forbids, logs it at error and alerts: it is a bug.
pub fn invariant_violated(aggregate: &'static str, invariant: &'static str) {
    INVARIANTS.with_label_values(&[aggregate, invariant]).inc();
    tracing::error!(aggregate, invariant, "invariant violated");
    Alert::critical("Invariant violated", format!("{aggregate}: {invariant}"))
        .path(format!("{aggregate}/{invariant}"))
        .raise();
}

/// Declares an aggregate at start, so that its first conflict is seen by `rate()`.
pub fn declare_conflict(aggregate: &'static str) {
    CONFLICTS.with_label_values(&[aggregate]);
}

/// Counts a write that was refused because another one came first.
pub fn concurrency_conflict(aggregate: &'static str) {
    CONFLICTS.with_label_values(&[aggregate]).inc();
}
