//! What Alertmanager tells is held against what Prometheus itself says: Alertmanager takes alerts from anybody who
//! reaches it, and hands them on with our own credential.

use chrono::{DateTime, Utc};

use super::{Alert, Texts};

/// An alert as Prometheus has it.
#[derive(Clone, Debug)]
pub struct Fact {
    pub labels: Texts,
    pub annotations: Texts,
    /// It fires; else it is pending.
    pub firing: bool,
    /// Since when its expression is true.
    pub active_at: DateTime<Utc>,
}

/// Every alert that Prometheus has.
#[derive(Clone, Debug, Default)]
pub struct Evidence(pub Vec<Fact>);

/// What an alert's word is held against.
#[derive(Clone, Debug)]
pub enum Word {
    /// Nobody is named who could be asked, or the alert is our own.
    Taken,
    /// Prometheus says this.
    Checked(Evidence),
    /// Prometheus does not answer.
    Unchecked,
}

/// How far an alert is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Prometheus does not know it: anybody may have made it up.
    Unverified,
    /// Nobody could be asked.
    Taken,
    /// Its labels and annotations are Prometheus' own.
    Verified,
}

impl Fact {
    /// It is about this alert. On the way to Alertmanager labels are added (`external_labels`), which mean nothing
    /// here.
    fn is_of(&self, labels: &Texts) -> bool {
        let same = |(name, value): (&String, &String)| labels.get(name) == Some(value);
        self.labels.contains_key("alertname") && self.labels.iter().all(same)
    }
}

impl Evidence {
    /// The alert that fires at Prometheus and that these labels mean: the one that says most.
    pub fn firing(&self, labels: &Texts) -> Option<&Fact> {
        let known = self.0.iter().filter(|fact| fact.firing && fact.is_of(labels));
        known.max_by_key(|fact| fact.labels.len())
    }
}

impl Word {
    /// How far the alert is believed; what Prometheus knows gets Prometheus' own words.
    pub fn judge(&self, mut alert: Alert) -> (Alert, Trust) {
        match self {
            Self::Taken => (alert, Trust::Taken),
            Self::Unchecked => (alert, Trust::Unverified),
            Self::Checked(facts) => match facts.firing(&alert.labels) {
                None => (alert, Trust::Unverified),
                Some(fact) => {
                    alert.labels = fact.labels.clone();
                    alert.annotations = fact.annotations.clone();
                    (alert, Trust::Verified)
                }
            },
        }
    }

    /// Prometheus has the alert firing since before the end that we are told.
    pub fn contradicts(&self, alert: &Alert) -> bool {
        let Self::Checked(facts) = self else { return false };
        let since = facts.firing(&alert.labels).map(|fact| fact.active_at);
        since.is_some_and(|since| alert.ends_at.is_some_and(|end| since <= end))
    }
}

impl Trust {
    pub fn is_believed(self) -> bool {
        self != Self::Unverified
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn texts(pairs: &[(&str, &str)]) -> Texts {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn fact(labels: &[(&str, &str)]) -> Fact {
        let annotations = texts(&[("summary", "ours")]);
        let active_at = DateTime::UNIX_EPOCH + TimeDelta::minutes(10);
        Fact { labels: texts(labels), annotations, firing: true, active_at }
    }

    fn alert(labels: Texts, end: Option<i64>) -> Alert {
        Alert {
            fingerprint: "f".to_owned(),
            starts_at: DateTime::UNIX_EPOCH,
            ends_at: end.map(|minute| DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)),
            labels,
            annotations: texts(&[("summary", "theirs")]),
        }
    }

    #[test]
    fn only_what_fires_with_the_same_labels_is_known() {
        let ours = [("alertname", "A"), ("service", "points")];
        let judge = |fact: Fact, labels: &[(&str, &str)]| {
            Word::Checked(Evidence(vec![fact])).judge(alert(texts(labels), None)).1
        };
        assert_eq!(judge(fact(&ours), &ours), Trust::Verified);
        assert_eq!(judge(fact(&ours), &[ours[0], ours[1], ("env", "local")]), Trust::Verified);
        assert_eq!(judge(Fact { firing: false, ..fact(&ours) }, &ours), Trust::Unverified);
        assert_eq!(judge(fact(&ours), &ours[..1]), Trust::Unverified);
        assert_eq!(judge(fact(&ours), &[ours[0], ("service", "auth")]), Trust::Unverified);
        // Without a rule's name it is about everything.
        assert_eq!(judge(fact(&[]), &ours), Trust::Unverified);
    }

    #[test]
    fn an_end_before_it_began_to_burn_again_is_believed_and_a_later_one_is_not() {
        let labels = [("alertname", "A")];
        let word = Word::Checked(Evidence(vec![fact(&labels)]));
        assert!(!word.contradicts(&alert(texts(&labels), Some(9))));
        assert!(word.contradicts(&alert(texts(&labels), Some(10))));
        assert!(!Word::Unchecked.contradicts(&alert(texts(&labels), Some(10))));
    }

    proptest! {
        #[test]
        fn whatever_is_added_to_a_true_alert_changes_nothing(more: Vec<(String, String)>) {
            let ours = fact(&[("alertname", "A"), ("service", "points")]);
            let mut labels: Texts = more.into_iter().collect();
            labels.extend(ours.labels.clone());
            labels.insert("rollback".to_owned(), "automatic".to_owned());
            let (alert, trust) = Word::Checked(Evidence(vec![ours.clone()])).judge(alert(labels, None));
            prop_assert_eq!(trust, Trust::Verified);
            prop_assert_eq!((alert.labels, alert.annotations), (ours.labels, ours.annotations));
            prop_assert_eq!(alert.fingerprint, "f");
        }
    }
}
