//! The metrics of this service. A merchant's id is in logs and traces, never a label: the number of merchants is
//! unbounded.

use std::sync::LazyLock;
use std::time::Instant;

use kit::command::Answer;
use kit::{Classify, Kind};
use observability::metrics::{self, Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use crate::domain::{Delivery, NoEarning, Occasion, SagaState, Step};

/// The results of an attempt to book: booked, slot taken by another, refused, failed.
const STATUSES: [&str; 4] = ["success", "overlap_error", "rejected", "error"];

static CREATED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let created = metrics::counter_vec(
        "booking_created_total",
        "Attempts to book, by result. A replayed answer is not an attempt.",
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
        "Duration of attempts to book.",
        &[0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0],
    )
});

static EXPIRED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::counter("booking_holds_expired_total", "Holds that expired without a confirmation.")
});

static SAGAS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    metrics::gauge_vec(
        "booking_sagas",
        "Payments with points that are in progress (open), and those of them that a person should look at \
         (needs_attention).",
        &["condition"],
    )
});

static SAGA_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge(
        "booking_saga_oldest_open_seconds",
        "Age of the oldest open payment with points.",
    )
});

static SAGA_ENDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let ends = metrics::counter_vec(
        "booking_saga_transitions_total",
        "Steps of payments with points, by the resulting state.",
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
        "Failed steps of payments with points, which are retried.",
        &["step"],
    );
    for step in Step::ALL {
        failures.with_label_values(&[step.as_str()]);
    }
    failures
});

/// Sets the number of open sagas, the number of those that need a person, and the age of the oldest in seconds.
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
        "Completed bookings that earn no points, by the reason of points.",
        &["reason"],
    );
    for why in NoEarning::ALL {
        refused.with_label_values(&[why.as_str()]);
    }
    refused
});

pub(crate) fn earned_nothing(why: NoEarning) {
    EARNED_NOTHING.with_label_values(&[why.as_str()]).inc();
}

static ARCHIVED: LazyLock<IntCounter> = LazyLock::new(|| {
    metrics::counter(
        "booking_archived_total",
        "Bookings completed over a year ago that were moved into the archive.",
    )
});

/// Counts archived bookings, after the commit.
pub(crate) fn archived(bookings: u64) {
    ARCHIVED.inc_by(bookings);
}

static DELIVERIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let deliveries = metrics::counter_vec(
        "booking_notifications_total",
        "Attempts to send a message, by its kind and their result.",
        &["kind", "result"],
    );
    for kind in Occasion::ALL {
        for result in Delivery::ALL {
            deliveries.with_label_values(&[kind.as_str(), result.as_str()]);
        }
    }
    deliveries
});

static WAITING: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge("booking_notifications_pending", "Messages that wait to be sent.")
});

static WAITING_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    metrics::gauge("booking_notification_oldest_seconds", "Age of the oldest waiting message.")
});

pub(crate) fn delivered(kind: &str, delivery: Delivery) {
    DELIVERIES.with_label_values(&[kind, delivery.as_str()]).inc();
}

/// Sets the number of waiting messages, and the age of the oldest in seconds.
pub(crate) fn waiting((pending, oldest): (i64, i64)) {
    WAITING.set(pending);
    WAITING_AGE.set(oldest);
}

/// The source of a list.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    Replica,
    /// The client named no log position, or there is no replica.
    Primary,
    /// The primary, because the replica was behind the client's position.
    Behind,
    /// The primary, because the replica did not answer.
    Away,
}

static LISTED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let listed = metrics::counter_vec(
        "booking_lists_total",
        "Lists that were read, by source: the replica; the primary; the primary because the replica was behind, \
         or away.",
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
        "1 while the constraint no_overlap_bookings exists, 0 while bookings are refused without it.",
    )
});

pub(crate) fn guarded(exists: bool) {
    GUARDED.set(exists.into());
}

/// Counts expired holds, after the commit.
pub(crate) fn expired(holds: u64) {
    EXPIRED.inc_by(holds);
}

/// Registers every series at 0 before the first attempt, because `rate()` misses a series that starts at 1.
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
    LazyLock::force(&DELIVERIES);
    LazyLock::force(&LISTED);
    waiting((0, 0));
}

/// Counts and times an attempt to book.
pub(crate) async fn attempt<T, E: Classify>(
    attempt: impl Future<Output = Result<Answer<T>, E>>,
) -> Result<Answer<T>, E> {
    let mut timer = Timer { started: Instant::now(), status: Some("error") };
    let outcome = attempt.await;
    timer.status = match &outcome {
        Ok(answer) if answer.is_replay() => None,
        Ok(_) => Some("success"),
        Err(error) if error.code() == "slot_taken" => Some("overlap_error"),
        Err(error) => match error.kind() {
            Kind::Internal | Kind::Unavailable | Kind::Timeout => Some("error"),
            _ => Some("rejected"),
        },
    };
    outcome
}

/// Reports when it is dropped, so that a panic counts as an error.
struct Timer {
    started: Instant,
    status: Option<&'static str>,
}

impl Drop for Timer {
    fn drop(&mut self) {
        let Some(status) = self.status else { return };
        CREATED.with_label_values(&[status]).inc();
        SECONDS.observe(self.started.elapsed().as_secs_f64());
    }
}
