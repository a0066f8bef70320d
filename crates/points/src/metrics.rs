use std::sync::LazyLock;

use kit::idempotency::Answer;
use kit::{Classify as _, Kind};
use observability::metrics::{IntCounterVec, counter_vec};

use crate::app::Error;
use crate::domain::TransferKind;

static TRANSACTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "points_transactions_total",
        "Commands that move points, by type and outcome.",
        &["type", "status"],
    )
});

/// At start: every label set at 0, because `rate()` misses a first 1.
pub(crate) fn declare() {
    for status in ["committed", "replayed", "refused", "failed"] {
        TRANSACTIONS.with_label_values(&[TransferKind::Earn.as_str(), status]);
    }
}

/// Counts a command. What the caller did wrong is `refused`; what we could not do is `failed`.
pub(crate) fn count(kind: TransferKind, answer: &Result<Answer, Error>) {
    let status = match answer {
        Ok(answer) if answer.replayed => "replayed",
        Ok(_) => "committed",
        Err(error) => match error.kind() {
            Kind::Unavailable | Kind::Internal | Kind::Timeout => "failed",
            _ => "refused",
        },
    };
    TRANSACTIONS.with_label_values(&[kind.as_str(), status]).inc();
}
