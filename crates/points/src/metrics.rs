use std::sync::LazyLock;

use kit::idempotency::Answer;
use kit::{Classify as _, Kind, postgres};
use observability::metrics::{
    IntCounterVec, counter_vec, declare_conflict, declare_invariant, invariant_violated,
};

use crate::app::Error;
use crate::domain::{Refused, TransferKind};

static TRANSACTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "points_transactions_total",
        "Commands that move points, by type and outcome.",
        &["type", "status"],
    )
});

/// Rules of the ledger that the domain keeps by itself. When the database has to refuse, we have a bug.
const INVARIANTS: [&str; 8] = [
    "account_earned_within_limit",
    "account_held_not_negative",
    "account_spends_only_what_it_earned",
    "entry_balance_not_negative",
    "entry_place_in_history",
    "hold_settled_once",
    "transfer_sums_to_zero",
    BOOKS,
];

/// A balance says that what we are undoing never happened.
const BOOKS: &str = "books_agree_with_themselves";

/// At start: every label set at 0, because `rate()` misses a first 1.
pub(crate) fn declare() {
    for kind in TransferKind::ALL {
        for status in ["committed", "replayed", "refused", "failed"] {
            TRANSACTIONS.with_label_values(&[kind.as_str(), status]);
        }
    }
    declare_conflict("account");
    for invariant in INVARIANTS {
        declare_invariant("account", invariant);
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

    if let Err(Error::Refused(Refused::Books)) = answer {
        invariant_violated("account", BOOKS);
    }
    if let Err(Error::Database(error)) = answer
        && let Some(refused_by) = postgres::constraint(error)
        && let Some(invariant) = INVARIANTS.iter().find(|name| **name == refused_by)
    {
        invariant_violated("account", invariant);
    }
}
