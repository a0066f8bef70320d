//! What an alert means, as plain functions over plain values.

mod severity;
mod text;

pub use severity::{Classification, Severity};

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Labels or annotations: names and values, fit to be stored.
pub type Texts = BTreeMap<String, String>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IncidentId(pub Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Open,
    Resolved,
}

/// One firing of one rule on one target. Fingerprint and start name it, however often it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub fingerprint: String,
    pub starts_at: DateTime<Utc>,
    /// None while it fires.
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

    /// Takes texts as a stranger wrote them: cut on character borders, without what PostgreSQL
    /// cannot hold. The delivery keeps them as they came.
    pub fn texts(raw: impl IntoIterator<Item = (String, String)>) -> Texts {
        let keep = |(name, value): (String, String)| {
            (text::stored(&name, Self::MAX_NAME_CHARS), text::stored(&value, Self::MAX_VALUE_CHARS))
        };
        raw.into_iter().map(keep).collect()
    }

    /// One line for people: what the rule's author wrote, else the rule's name.
    pub fn title(&self) -> String {
        let summary = self.annotations.get("summary").or_else(|| self.labels.get("alertname"));
        text::line(summary, Self::MAX_TITLE_CHARS).unwrap_or_else(|| "Unnamed alert".to_owned())
    }

    /// The service that the alert is about.
    pub fn service(&self) -> String {
        let service = self.labels.get("service").or_else(|| self.labels.get("job"));
        text::line(service, Self::MAX_SERVICE_CHARS).unwrap_or_else(|| "unknown".to_owned())
    }

    pub fn classify(&self) -> Classification {
        Classification::of(self.labels.get("severity").map(String::as_str))
    }
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
        }
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
