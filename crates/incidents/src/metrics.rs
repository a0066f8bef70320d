use std::sync::LazyLock;

use observability::metrics::{IntCounter, IntCounterVec, counter, counter_vec, declare_conflict};

use crate::domain::{Channel, Missed, Severity};
use crate::view::Received;

static OPENED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec("incidents_opened_total", "Incidents opened, by severity.", &["severity"])
});

static ALERTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "incidents_alerts_total",
        "Alerts by result. Unknown: ended without having fired here. Forgotten: ended because no source knows them. Contradicted: still firing at Prometheus.",
        &["result"],
    )
});

static UNVERIFIED: LazyLock<IntCounter> = LazyLock::new(|| {
    counter(
        "incidents_unverified_alerts_total",
        "New alerts from Alertmanager that Prometheus does not have.",
    )
});

static BREACHED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "incidents_target_breached_total",
        "Incidents that were not acknowledged, or not resolved, in time.",
        &["target"],
    )
});

static TOLD: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter_vec(
        "incidents_notifications_total",
        "Messages that a channel accepted or failed to accept.",
        &["channel", "result"],
    )
});

/// Sets every label to 0 at start, because `rate()` misses a first 1.
pub(crate) fn declare() {
    for severity in Severity::ALL {
        OPENED.with_label_values(&[severity.as_str()]);
    }
    received(&Received::default());
    declare_conflict("postmortem");
    alerts("forgotten", 0);
    for missed in Missed::ALL {
        BREACHED.with_label_values(&[missed.as_str()]);
    }
}

/// Counts a missed target.
pub(crate) fn breached(missed: Missed) {
    BREACHED.with_label_values(&[missed.as_str()]).inc();
}

/// Declares a configured channel.
pub(crate) fn channel(channel: Channel) {
    for result in ["sent", "failed"] {
        TOLD.with_label_values(&[channel.as_str(), result]);
    }
}

/// Counts a message to a channel.
pub(crate) fn told(channel: Channel, sent: bool) {
    let result = if sent { "sent" } else { "failed" };
    TOLD.with_label_values(&[channel.as_str(), result]).inc();
}

/// Counts alerts by their result.
pub(crate) fn alerts(result: &str, count: u64) {
    ALERTS.with_label_values(&[result]).inc_by(count);
}

/// Counts opened incidents.
pub(crate) fn opened(severities: impl Iterator<Item = Severity>) {
    for severity in severities {
        OPENED.with_label_values(&[severity.as_str()]).inc();
    }
}

/// Counts the alerts of a committed delivery.
pub(crate) fn received(received: &Received) {
    UNVERIFIED.inc_by(received.unverified);
    alerts("opened", received.opened);
    alerts("joined", received.joined);
    alerts("resolved", received.resolved);
    alerts("duplicate", received.duplicate);
    alerts("unknown", received.unknown);
    alerts("contradicted", received.contradicted);
}
