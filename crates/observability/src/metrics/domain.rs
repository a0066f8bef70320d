//! Metrics of broken invariants and of concurrency conflicts.

use std::sync::LazyLock;

use prometheus::IntCounterVec;

use super::counter_vec;
use crate::alert::Alert;

static INVARIANTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "invariant_violation_total",
        "Invalid states, detected before they were stored.",
        &["aggregate", "invariant"],
    )
});

static CONFLICTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "concurrency_conflict_total",
        "Writes refused because of a concurrent one.",
        &["aggregate"],
    )
});

/// Declares an invariant at start, so that `rate()` sees its first violation.
pub fn declare_invariant(aggregate: &'static str, invariant: &'static str) {
    INVARIANTS.with_label_values(&[aggregate, invariant]);
}

/// Counts, logs and alerts a state that violates an invariant: it is a bug.
pub fn invariant_violated(aggregate: &'static str, invariant: &'static str) {
    INVARIANTS.with_label_values(&[aggregate, invariant]).inc();
    tracing::error!(aggregate, invariant, "invariant violated");
    Alert::critical("Invariant violated", format!("{aggregate}: {invariant}"))
        .path(format!("{aggregate}/{invariant}"))
        .raise();
}

/// Declares an aggregate at start, so that `rate()` sees its first conflict.
pub fn declare_conflict(aggregate: &'static str) {
    CONFLICTS.with_label_values(&[aggregate]);
}

/// Counts a write that was refused because of a concurrent one.
pub fn concurrency_conflict(aggregate: &'static str) {
    CONFLICTS.with_label_values(&[aggregate]).inc();
}
