use std::sync::LazyLock;

use kit::{Classify as _, Kind, postgres};
use observability::metrics::{
    IntCounterVec, IntGauge, counter_vec, declare_conflict, declare_invariant, gauge,
    invariant_violated,
};

use crate::domain::{BrokenInvariant, Refused, TransferKind};
use crate::error::Error;
use crate::ledger::LedgerAnswer;

static TRANSACTIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "points_transactions_total",
        "Commands that move points, by type and outcome.",
        &["type", "status"],
    )
});

static FALLBACK: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "points_fallback_total",
        "Earnings for the fallback queue: queued, reused (a key with another body), full, unavailable; and \
         from it: applied, refused, postponed, unsigned, unreadable.",
        &["result"],
    )
});
static DEPTH: LazyLock<IntGauge> =
    LazyLock::new(|| gauge("points_fallback_queue_depth", "Earnings that wait for the database."));
static AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "points_fallback_queue_age_seconds",
        "Age of the oldest earning that waits for the database.",
    )
});

static ISSUANCE_REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "points_issuance_refused_total",
        "Earnings and rules above a merchant's limits, by reason.",
        &["reason"],
    )
});
static ISSUANCE_USED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "points_issuance_highest_used_percent",
        "Highest used share of a merchant's budget of this month.",
    )
});
const ISSUANCE: [&str; 4] =
    ["issuance_budget_exhausted", "own_merchant", "rate_exceeds_limit", "tender_value_missing"];

/// Rules of the ledger that the domain keeps. A refusal by the database is a bug.
const INVARIANTS: [&str; 11] = [
    "account_earned_within_limit",
    "account_follows_entries",
    "account_held_not_negative",
    "account_spends_only_what_it_earned",
    "entry_balance_not_negative",
    "entry_follows_account",
    "entry_place_in_history",
    "entry_with_its_transfer",
    "hold_settled_once",
    "transfer_sums_to_zero",
    CONSISTENT,
];

/// A balance denies what is being undone.
const CONSISTENT: &str = "books_agree_with_themselves";

/// Sets every label to 0 at start, because `rate()` misses a first 1.
pub(crate) fn declare() {
    for kind in TransferKind::ALL {
        for status in ["committed", "replayed", "refused", "failed"] {
            TRANSACTIONS.with_label_values(&[kind.as_str(), status]);
        }
    }
    let outcomes = ["applied", "refused", "postponed", "unsigned", "unreadable"];
    for result in ["queued", "reused", "full", "unavailable"].into_iter().chain(outcomes) {
        FALLBACK.with_label_values(&[result]);
    }
    fallback_queue(0, 0);
    issuance_used(0);
    for reason in ISSUANCE {
        ISSUANCE_REFUSED.with_label_values(&[reason]);
    }
    declare_conflict("account");
    for invariant in INVARIANTS {
        declare_invariant("account", invariant);
    }
    for broken in BrokenInvariant::ALL {
        declare_invariant(broken.aggregate(), broken.invariant());
    }
}

/// Counts a step of an earning through the fallback queue.
pub(crate) fn fallback(result: &str) {
    FALLBACK.with_label_values(&[result]).inc();
}

/// Sets the highest used share of a budget.
pub(crate) fn issuance_used(percent: i64) {
    ISSUANCE_USED.set(percent);
}

/// Counts an error, if it is a refusal by a merchant's limits.
pub(crate) fn issuance_refused(error: &Error) {
    let code = error.code();
    if let Some(reason) = ISSUANCE.iter().find(|reason| **reason == code) {
        ISSUANCE_REFUSED.with_label_values(&[reason]).inc();
    }
}

/// Sets the number of earnings that wait, and the age of the oldest.
pub(crate) fn fallback_queue(depth: i64, age_seconds: i64) {
    DEPTH.set(depth);
    AGE.set(age_seconds);
}

/// Counts a command: `refused` for an error of the caller, `failed` for one of ours.
pub(crate) fn count(kind: TransferKind, answer: &Result<LedgerAnswer, Error>) {
    let status = match answer {
        Ok(answer) if answer.is_replay() => "replayed",
        Ok(_) => "committed",
        Err(error) => match error.kind() {
            Kind::Unavailable | Kind::Internal | Kind::Timeout => "failed",
            _ => "refused",
        },
    };
    TRANSACTIONS.with_label_values(&[kind.as_str(), status]).inc();

    if let Err(error) = answer {
        issuance_refused(error);
    }
    if let Err(Error::Refused(Refused::Inconsistent)) = answer {
        invariant_violated("account", CONSISTENT);
    }
    if let Err(Error::Database(error)) = answer
        && let Some(refused_by) = postgres::constraint(error)
        && let Some(invariant) = INVARIANTS.iter().find(|name| **name == refused_by)
    {
        invariant_violated("account", invariant);
    }
}
