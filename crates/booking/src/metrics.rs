//! What this service counts. A merchant's id is in logs and traces, never a label: there is no bound
//! to how many there are.

use std::sync::LazyLock;
use std::time::Instant;

use kit::idempotency::Answer;
use kit::{Classify as _, Kind};
use observability::metrics::{self, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::app::Error;
use crate::domain::{Occasion, SagaState, Step};
use crate::peers::Nothing;

/// Booked; lost the slot to another; refused for the caller's reasons; failed for ours.
const STATUSES: [&str; 4] = ["success", "overlap_error", "rejected", "error"];

static CREATED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let created = metrics::counter_vec(
        "booking_created_total",
        "Attempts to book, by how they ended. A replayed answer is no attempt.",
        &["status"],
    );
    for status in STATUSES {
        created.with_label_values(&[status]);
    }
    created
});

static SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    metrics::histogram(
        "booking_creation_duration_seconds",
        "How long an attempt to book took, however it ended.",
        &[0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0],
    )
});

static EXPIRED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::counter(
        "booking_holds_expired_total",
        "Holds that ended because nobody confirmed them.",
    )
});

static SAGAS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    metrics::gauge_vec(
        "booking_sagas",
        "Payments with points that are not at an end (open), and those of them that a person should look \
         at (needs_attention).",
        &["condition"],
    )
});

static SAGA_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge(
        "booking_saga_oldest_open_seconds",
        "For how long the oldest payment with points has been open.",
    )
});

static SAGA_ENDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let ends = metrics::counter_vec(
        "booking_saga_transitions_total",
        "Steps of payments with points, by the state that they led to.",
        &["state"],
    );
    for state in SagaState::ALL {
        ends.with_label_values(&[state.as_str()]);
    }
    ends
});

static SAGA_FAILURES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let failures = metrics::counter_vec(
        "booking_saga_step_failures_total",
        "Steps of payments with points that will be tried again.",
        &["step"],
    );
    for step in Step::ALL {
        failures.with_label_values(&[step.as_str()]);
    }
    failures
});

/// Shows how many sagas are open, how many of them wait for a person, and the age of the oldest.
pub(crate) fn sagas((open, attention, oldest): (i64, i64, i64)) {
    SAGAS.with_label_values(&["open"]).set(open);
    SAGAS.with_label_values(&["needs_attention"]).set(attention);
    SAGA_AGE.set(oldest);
}

pub(crate) fn saga_moved(to: SagaState) {
    SAGA_ENDS.with_label_values(&[to.as_str()]).inc();
}

pub(crate) fn saga_failed(step: Step) {
    SAGA_FAILURES.with_label_values(&[step.as_str()]).inc();
}

static EARNED_NOTHING: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let refused = metrics::counter_vec(
        "booking_earnings_refused_total",
        "Completed bookings that earn no points, by the reason that points gave.",
        &["reason"],
    );
    for why in Nothing::ALL {
        refused.with_label_values(&[why.as_str()]);
    }
    refused
});

pub(crate) fn earned_nothing(why: Nothing) {
    EARNED_NOTHING.with_label_values(&[why.as_str()]).inc();
}

static ARCHIVED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::counter(
        "booking_archived_total",
        "Bookings completed over a year ago that were moved into the archive.",
    )
});

/// Counts bookings whose move was committed.
pub(crate) fn archived(bookings: u64) {
    ARCHIVED.inc_by(bookings);
}

/// How an attempt to send a message went.
#[derive(Clone, Copy)]
pub(crate) enum Told {
    Sent,
    /// It is given up.
    Failed,
    /// It was not true any more, and was not sent.
    Dropped,
    /// It is tried again.
    Retried,
}

static TOLD: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let told = metrics::counter_vec(
        "booking_notifications_total",
        "Attempts to send a message, by what it tells and how that went.",
        &["kind", "result"],
    );
    for kind in Occasion::ALL {
        for result in ["sent", "failed", "dropped", "retried"] {
            told.with_label_values(&[kind.as_str(), result]);
        }
    }
    told
});

static WAITING: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge("booking_notifications_pending", "Messages that are to be sent.")
});

static WAITING_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge(
        "booking_notification_oldest_seconds",
        "For how long the oldest message has been waiting.",
    )
});

pub(crate) fn told(kind: &str, how: Told) {
    let result = match how {
        Told::Sent => "sent",
        Told::Failed => "failed",
        Told::Dropped => "dropped",
        Told::Retried => "retried",
    };
    TOLD.with_label_values(&[kind, result]).inc();
}

/// Shows how many messages wait, and for how long the oldest has.
pub(crate) fn waiting((pending, oldest): (i64, i64)) {
    WAITING.set(pending);
    WAITING_AGE.set(oldest);
}

/// Who answered for a list.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    Replica,
    /// Nobody said what they have seen, or there is no replica.
    Primary,
    /// The primary, for the replica had not yet what was seen.
    Behind,
    /// The primary, for the replica did not answer.
    Away,
}

static LISTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let listed = metrics::counter_vec(
        "booking_lists_total",
        "Lists that were read, by who answered: the replica; the primary; the primary because the replica was \
         behind, or away.",
        &["source"],
    );
    for source in ["replica", "primary", "primary_behind", "primary_away"] {
        listed.with_label_values(&[source]);
    }
    listed
});

pub(crate) fn listed(source: Source) {
    let source = match source {
        Source::Replica => "replica",
        Source::Primary => "primary",
        Source::Behind => "primary_behind",
        Source::Away => "primary_away",
    };
    LISTED.with_label_values(&[source]).inc();
}

static GUARDED: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge(
        "booking_overlap_guard",
        "1 while the constraint no_overlap_bookings is there, 0 when nobody can book for lack of it.",
    )
});

pub(crate) fn guarded(stands: bool) {
    GUARDED.set(stands.into());
}

/// Counts holds whose end was committed.
pub(crate) fn expired(holds: u64) {
    EXPIRED.inc_by(holds);
}

/// Shows every series at 0 before the first attempt: `rate()` misses a series that starts at 1.
pub(crate) fn register() {
    LazyLock::force(&CREATED);
    LazyLock::force(&SECONDS);
    LazyLock::force(&EXPIRED);
    LazyLock::force(&ARCHIVED);
    LazyLock::force(&SAGA_ENDS);
    LazyLock::force(&SAGA_FAILURES);
    LazyLock::force(&EARNED_NOTHING);
    metrics::declare_conflict("service");
    sagas((0, 0, 0));
    guarded(true);
    LazyLock::force(&TOLD);
    LazyLock::force(&LISTED);
    waiting((0, 0));
}

/// An attempt to book. One that is never settled, because it panicked, counts as an error.
pub(crate) struct Attempt {
    started: Instant,
    status: Option<&'static str>,
}

impl Attempt {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), status: Some("error") }
    }

    pub(crate) fn settle(mut self, outcome: &Result<Answer, Error>) {
        self.status = match outcome {
            Ok(answer) if answer.replayed => None,
            Ok(_) => Some("success"),
            Err(Error::SlotTaken) => Some("overlap_error"),
            Err(error) => match error.kind() {
                Kind::Internal | Kind::Unavailable | Kind::Timeout => Some("error"),
                _ => Some("rejected"),
            },
        };
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(status) = self.status else { return };
        CREATED.with_label_values(&[status]).inc();
        SECONDS.observe(self.started.elapsed().as_secs_f64());
    }
}
