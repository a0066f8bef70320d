use std::sync::LazyLock;

use observability::metrics::{IntCounterVec, counter_vec, declare_conflict};

use crate::app::Outcome;
use crate::domain::{Channel, Severity};
use crate::store::clocks::Breach;

static OPENED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec("incidents_opened_total", "Incidents opened, by severity.", &["severity"])
});

static ALERTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "incidents_alerts_total",
        "Alerts by what became of them: unknown ones ended without having fired here, forgotten ones without our being told.",
        &["result"],
    )
});

static BREACHED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "incidents_target_breached_total",
        "Incidents that nobody responded to, or ended, in time.",
        &["target"],
    )
});

static TOLD: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "incidents_notifications_total",
        "Messages that a channel took, or did not take this time.",
        &["channel", "result"],
    )
});

/// At start: every label set at 0, because `rate()` misses a first 1.
pub(crate) fn declare() {
    for severity in Severity::ALL {
        OPENED.with_label_values(&[severity.as_str()]);
    }
    received(&Outcome::default(), &[]);
    declare_conflict("postmortem");
    forgotten(0);
    for target in ["response", "resolution"] {
        BREACHED.with_label_values(&[target]);
    }
}

/// Counts what was not done in time.
pub(crate) fn breached(breaches: &[Breach]) {
    for breach in breaches {
        let target = if breach.response { "response" } else { "resolution" };
        BREACHED.with_label_values(&[target]).inc();
    }
}

/// A channel that is configured, at 0.
pub(crate) fn channel(channel: Channel) {
    for result in ["sent", "failed"] {
        TOLD.with_label_values(&[channel.as_str(), result]);
    }
}

/// A message that a channel took, or did not.
pub(crate) fn told(channel: Channel, sent: bool) {
    let result = if sent { "sent" } else { "failed" };
    TOLD.with_label_values(&[channel.as_str(), result]).inc();
}

/// Counts alerts that were taken as over because nobody knows them any more.
pub(crate) fn forgotten(alerts: u64) {
    ALERTS.with_label_values(&["forgotten"]).inc_by(alerts);
}

/// Counts a delivery that was committed.
pub(crate) fn received(outcome: &Outcome, opened: &[Severity]) {
    for severity in opened {
        OPENED.with_label_values(&[severity.as_str()]).inc();
    }
    for (result, alerts) in [
        ("opened", outcome.opened),
        ("joined", outcome.joined),
        ("resolved", outcome.resolved),
        ("duplicate", outcome.duplicate),
        ("unknown", outcome.unknown),
    ] {
        ALERTS.with_label_values(&[result]).inc_by(alerts);
    }
}
