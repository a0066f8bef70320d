//! The decisions: plain functions over plain values.

mod advice;
mod checklist;
mod classify;
mod health;
mod known;
mod lifecycle;
mod notice;
mod postmortem;
mod reminder;
mod rollback;
mod severity;
mod statistics;
mod text;
mod witness;

pub use advice::{Advice, Repair, RootCause, Signals};
pub use checklist::{Check, checklist};
pub use classify::{Classification, Thresholds};
pub use health::{Affliction, DAYS, Health, Watched, availability, days};
pub use known::{AlertKey, Burning, Known, Missing};
pub use lifecycle::{Number, Refused, Status, Target, Targets, repeat_after};
pub use notice::{Channel, News, Notice, Routes, UnknownChannel};
pub use postmortem::{Facts, duration, md};
pub use reminder::Stage;
pub use rollback::{MAX_ATTEMPTS, Next, Step};
pub use severity::Severity;
pub use statistics::{Count, Sample, Statistics, Week};
pub(crate) use text::inert;
pub use witness::{Evidence, Fact, Trust, Word};

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use thiserror::Error;
use uuid::Uuid;

/// Labels or annotations: names and values that can be stored.
pub type Texts = BTreeMap<String, String>;

/// The id of an incident. Its number for people is a [`Number`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentId(pub Uuid);

/// The fingerprint of our own alert: a part of the alerting chain is silent.
pub const SILENCE_FINGERPRINT: &str = "watchdog-silent";

/// Text of several lines that a person wrote: 1 to 4,000 characters, no U+0000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prose(String);

/// A document that a person wrote: 1 to 40,000 characters, no U+0000.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markdown(String);

/// One line of text that a person wrote, such as a name: 1 to 100 characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line(String);

/// A text that is empty, too long, or contains characters that cannot be stored.
#[derive(Debug, Error)]
#[error("must be 1 to {0} characters, without control characters")]
pub struct Unwritten(usize);

/// Checks text of several lines with at most `max` characters.
fn written(text: &str, max: usize) -> Result<String, Unwritten> {
    let text = text.trim().replace("\r\n", "\n");
    let odd = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.is_empty() || text.chars().count() > max || text.contains(odd) {
        return Err(Unwritten(max));
    }
    Ok(text)
}

impl Markdown {
    pub fn new(text: &str) -> Result<Self, Unwritten> {
        written(text, 40_000).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prose {
    pub fn new(text: &str) -> Result<Self, Unwritten> {
        written(text, 4_000).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Line {
    const MAX: usize = 100;

    pub fn new(text: &str) -> Result<Self, Unwritten> {
        let text = text.trim();
        if text.is_empty() || text.chars().count() > Self::MAX || text.contains(char::is_control) {
            return Err(Unwritten(Self::MAX));
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One firing of one rule on one target. Fingerprint and start identify it, however often it is delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub fingerprint: String,
    pub starts_at: DateTime<Utc>,
    /// `None` while it fires.
    pub ends_at: Option<DateTime<Utc>>,
    pub labels: Texts,
    pub annotations: Texts,
}

impl Alert {
    pub const MAX_TITLE_CHARS: usize = 200;
    pub const MAX_SERVICE_CHARS: usize = 100;
    pub const MAX_FINGERPRINT_CHARS: usize = 128;
    const MAX_NAME_CHARS: usize = 200;
    const MAX_VALUE_CHARS: usize = 2_000;

    /// Makes untrusted texts storable: cut between characters, without U+0000. The delivery keeps the originals.
    pub fn texts(raw: impl IntoIterator<Item = (String, String)>) -> Texts {
        let keep = |(name, value): (String, String)| {
            (text::stored(&name, Self::MAX_NAME_CHARS), text::stored(&value, Self::MAX_VALUE_CHARS))
        };
        raw.into_iter().map(keep).collect()
    }

    /// Returns the rule's summary, else the rule's name, as one line.
    pub fn title(&self) -> String {
        let summary = self.annotations.get("summary").or_else(|| self.labels.get("alertname"));
        text::line(summary, Self::MAX_TITLE_CHARS).unwrap_or_else(|| "Unnamed alert".to_owned())
    }

    /// Returns the fingerprint and start that identify it.
    pub fn key(&self) -> AlertKey {
        (self.fingerprint.clone(), self.starts_at)
    }

    /// True for the alert that always fires, which shows that alerting works.
    pub fn is_heartbeat(&self) -> bool {
        self.labels.get("alertname").is_some_and(|name| name == "Watchdog")
    }

    /// True when the rule's author wants the service rolled back without an approval.
    pub fn asks_for_rollback(&self) -> bool {
        self.labels.get("rollback").is_some_and(|how| how == "automatic")
    }

    /// Returns the time at which Prometheus evaluated the rule, if the rule says it (seconds since 1970).
    pub fn evaluated_at(&self) -> Option<DateTime<Utc>> {
        let seconds: i64 = self.annotations.get("evaluated_at")?.trim().parse().ok()?;
        DateTime::from_timestamp(seconds, 0)
    }

    /// Returns the service that the alert is about.
    pub fn service(&self) -> String {
        let service = self.labels.get("service").or_else(|| self.labels.get("job"));
        text::line(service, Self::MAX_SERVICE_CHARS).unwrap_or_else(|| "unknown".to_owned())
    }

    /// Returns a hash that alerts of one cause share: of the label `cause`, else of rule and service.
    /// An alert without a rule's name is a cause of its own.
    ///
    /// An unverified alert has another cause than a verified one, so that it never joins a verified incident.
    pub fn cause(&self, trust: Trust) -> String {
        let label = |name: &str| self.labels.get(name).filter(|text| !text.trim().is_empty());
        let cause = match (label("cause"), label("alertname")) {
            (Some(cause), _) => format!("cause {cause:?}"),
            (None, Some(rule)) => format!("rule {rule:?} {:?}", self.service()),
            (None, None) => format!("alert {:?}", self.fingerprint),
        };
        let cause = if trust.is_believed() { cause } else { format!("unverified {cause}") };
        let hash = digest(&SHA256, cause.as_bytes());
        hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alert(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Alert {
        let texts = |pairs: &[(&str, &str)]| {
            Alert::texts(
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
            )
        };
        Alert {
            fingerprint: "f".to_owned(),
            starts_at: DateTime::UNIX_EPOCH,
            ends_at: None,
            labels: texts(labels),
            annotations: texts(annotations),
        }
    }

    #[test]
    fn a_title_is_the_summary_or_the_name_of_the_rule() {
        let named = [("alertname", "HighErrorRate")];
        assert_eq!(alert(&named, &[("summary", "Points fails")]).title(), "Points fails");
        assert_eq!(alert(&named, &[]).title(), "HighErrorRate");
        assert_eq!(alert(&[], &[("summary", " \n ")]).title(), "Unnamed alert");
    }

    #[test]
    fn a_service_is_named_by_its_label_or_its_job() {
        assert_eq!(alert(&[("service", "points"), ("job", "p")], &[]).service(), "points");
        assert_eq!(alert(&[("job", "p")], &[]).service(), "p");
        assert_eq!(alert(&[], &[]).service(), "unknown");
    }

    #[test]
    fn alerts_of_one_rule_and_service_have_one_cause_unless_somebody_says_otherwise() {
        let cause = |labels: &[(&str, &str)]| alert(labels, &[]).cause(Trust::Taken);
        let rule = cause(&[("alertname", "Slow"), ("service", "points"), ("pod", "1")]);
        assert_eq!(rule, cause(&[("alertname", "Slow"), ("service", "points"), ("pod", "2")]));
        assert_ne!(rule, cause(&[("alertname", "Slow"), ("service", "auth")]));
        assert_ne!(rule, cause(&[("alertname", "Slow\" \"points"), ("service", "")]));
        let said = [("cause", "disk"), ("alertname", "A")];
        assert_eq!(cause(&said), cause(&[("cause", "disk"), ("alertname", "B")]));
        assert_eq!(rule.len(), 64);
        let unknown = alert(&[("alertname", "Slow"), ("service", "points")], &[]);
        assert_ne!(rule, unknown.cause(Trust::Unverified));
        assert_eq!(rule, unknown.cause(Trust::Verified));
    }

    proptest! {
        #[test]
        fn whatever_a_label_says_it_can_be_stored(name: String, value: String) {
            let alert = alert(
                &[(&name, &value), ("service", &value), ("severity", &value)],
                &[("summary", &value)],
            );
            prop_assert!((1..=200).contains(&alert.title().chars().count()));
            prop_assert!((1..=100).contains(&alert.service().chars().count()));
            prop_assert!(!alert.title().contains(char::is_control));
            for (name, value) in &alert.labels {
                prop_assert!(!name.contains('\0') && !value.contains('\0'));
            }
        }
    }
}
