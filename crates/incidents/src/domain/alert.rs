use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use super::text;

/// Labels or annotations: names and values that can be stored.
pub type Texts = BTreeMap<String, String>;

/// The fingerprint of our own alert: a part of the alerting chain is silent.
pub const SILENCE_FINGERPRINT: &str = "watchdog-silent";

/// An alert's fingerprint and start, which identify it.
pub type AlertKey = (String, DateTime<Utc>);

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

/// A firing alert, and the id of the incident that it opens unless it joins another.
#[derive(Clone, Debug)]
pub struct Opening {
    pub incident: Uuid,
    pub alert: Alert,
    pub trust: Trust,
}

/// The trust in an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Prometheus does not have it: anybody may have sent it.
    Unverified,
    /// Prometheus was not asked.
    Assumed,
    /// Its labels and annotations are Prometheus' own.
    Verified,
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

impl Trust {
    /// True unless the alert is unverified.
    pub fn is_believed(self) -> bool {
        self != Self::Unverified
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
        let cause = |labels: &[(&str, &str)]| alert(labels, &[]).cause(Trust::Assumed);
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
