use std::sync::LazyLock;

use observability::metrics::{IntCounter, IntCounterVec, counter, counter_vec, declare_conflict};

use crate::app::Received;
use crate::domain::{Channel, Severity};
use crate::store::clocks::Breach;

static OPENED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec("incidents_opened_total", "Incidents opened, by severity.", &["severity"])
});

static ALERTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "incidents_alerts_total",
        "Alerts by what became of them: unknown ones ended without having fired here, forgotten ones without our being told, contradicted ones go on at Prometheus.",
        &["result"],
    )
});

static UNVERIFIED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "incidents_unverified_alerts_total",
        "New alerts from Alertmanager that Prometheus does not know.",
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
    received(&Received::default(), &[]);
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

/// Counts incidents that opened.
pub(crate) fn believed(opened: &[Severity]) {
    for severity in opened {
        OPENED.with_label_values(&[severity.as_str()]).inc();
    }
}

/// Counts a delivery that was committed.
pub(crate) fn received(outcome: &Received, opened: &[Severity]) {
    believed(opened);
    UNVERIFIED.inc_by(outcome.unverified);
    for (result, alerts) in [
        ("opened", outcome.opened),
        ("joined", outcome.joined),
        ("resolved", outcome.resolved),
        ("duplicate", outcome.duplicate),
        ("unknown", outcome.unknown),
        ("contradicted", outcome.contradicted),
    ] {
        ALERTS.with_label_values(&[result]).inc_by(alerts);
    }
}
