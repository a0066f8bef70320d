//! Alerts from Alertmanager are verified at Prometheus: Alertmanager accepts alerts from anybody who reaches it, and
//! delivers them with our own credential.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Alert, AlertKey, Opening, Texts, Trust};

/// An alert as Prometheus has it.
#[derive(Clone, Debug)]
pub struct PrometheusAlert {
    pub labels: Texts,
    pub annotations: Texts,
    /// True when it fires, false while it is pending.
    pub firing: bool,
    /// The time since which its expression is true.
    pub active_at: DateTime<Utc>,
}

/// Every alert that Prometheus has.
#[derive(Clone, Debug, Default)]
pub struct Evidence(pub Vec<PrometheusAlert>);

/// Prometheus' answer about the alerts of a delivery.
#[derive(Clone, Debug)]
pub enum Prometheus {
    /// It was not asked: none is configured, or the alert is our own.
    NotAsked,
    Answered(Evidence),
    Unreachable,
}

/// The alerts of a delivery after their verification, in the order of their keys.
#[derive(Debug, Default)]
pub struct VerifiedDelivery {
    pub openings: Vec<Opening>,
    /// Alerts that have ended, and their ends.
    pub ends: Vec<(AlertKey, DateTime<Utc>)>,
    /// The number of ended alerts that still fire at Prometheus.
    pub contradicted: u64,
}

impl PrometheusAlert {
    /// True when the labels are this alert's. Labels that are added on the way to Alertmanager (`external_labels`)
    /// are ignored.
    fn is_of(&self, labels: &Texts) -> bool {
        let same = |(name, value): (&String, &String)| labels.get(name) == Some(value);
        self.labels.contains_key("alertname") && self.labels.iter().all(same)
    }
}

impl Evidence {
    /// Returns the firing alert with these labels, the one with the most labels if there are several.
    pub fn firing(&self, labels: &Texts) -> Option<&PrometheusAlert> {
        let known = self.0.iter().filter(|alert| alert.firing && alert.is_of(labels));
        known.max_by_key(|alert| alert.labels.len())
    }
}

impl Prometheus {
    /// Verifies an alert. A verified alert gets Prometheus' own labels and annotations.
    pub fn verify(&self, mut alert: Alert) -> (Alert, Trust) {
        match self {
            Self::NotAsked => (alert, Trust::Assumed),
            Self::Unreachable => (alert, Trust::Unverified),
            Self::Answered(evidence) => match evidence.firing(&alert.labels) {
                None => (alert, Trust::Unverified),
                Some(known) => {
                    alert.labels = known.labels.clone();
                    alert.annotations = known.annotations.clone();
                    (alert, Trust::Verified)
                }
            },
        }
    }

    /// Verifies all alerts of a delivery. `id` makes ids for the incidents that they may open.
    pub fn verify_all(
        &self,
        mut alerts: Vec<Alert>,
        mut id: impl FnMut() -> Uuid,
    ) -> VerifiedDelivery {
        // In one order in every delivery, so that two with the same alerts never deadlock.
        alerts.sort_by(|a, b| (&a.fingerprint, a.starts_at).cmp(&(&b.fingerprint, b.starts_at)));
        let mut delivery = VerifiedDelivery::default();
        for alert in alerts {
            match alert.ends_at {
                Some(_) if self.contradicts(&alert) => delivery.contradicted += 1,
                Some(end) => delivery.ends.push((alert.key(), end)),
                None => {
                    let (alert, trust) = self.verify(alert);
                    delivery.openings.push(Opening { incident: id(), alert, trust });
                }
            }
        }
        delivery
    }

    /// True when the alert has fired at Prometheus since before its delivered end.
    pub fn contradicts(&self, alert: &Alert) -> bool {
        let Self::Answered(evidence) = self else { return false };
        let since = evidence.firing(&alert.labels).map(|known| known.active_at);
        since.is_some_and(|since| alert.ends_at.is_some_and(|end| since <= end))
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

    fn fact(labels: &[(&str, &str)]) -> PrometheusAlert {
        let annotations = texts(&[("summary", "ours")]);
        let active_at = DateTime::UNIX_EPOCH + TimeDelta::minutes(10);
        PrometheusAlert { labels: texts(labels), annotations, firing: true, active_at }
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
        let judge = |fact: PrometheusAlert, labels: &[(&str, &str)]| {
            Prometheus::Answered(Evidence(vec![fact])).verify(alert(texts(labels), None)).1
        };
        assert_eq!(judge(fact(&ours), &ours), Trust::Verified);
        assert_eq!(judge(fact(&ours), &[ours[0], ours[1], ("env", "local")]), Trust::Verified);
        assert_eq!(
            judge(PrometheusAlert { firing: false, ..fact(&ours) }, &ours),
            Trust::Unverified
        );
        assert_eq!(judge(fact(&ours), &ours[..1]), Trust::Unverified);
        assert_eq!(judge(fact(&ours), &[ours[0], ("service", "auth")]), Trust::Unverified);
        // An alert without a rule's name would match every alert.
        assert_eq!(judge(fact(&[]), &ours), Trust::Unverified);
    }

    #[test]
    fn an_end_before_it_began_to_burn_again_is_believed_and_a_later_one_is_not() {
        let labels = [("alertname", "A")];
        let word = Prometheus::Answered(Evidence(vec![fact(&labels)]));
        assert!(!word.contradicts(&alert(texts(&labels), Some(9))));
        assert!(word.contradicts(&alert(texts(&labels), Some(10))));
        assert!(!Prometheus::Unreachable.contradicts(&alert(texts(&labels), Some(10))));
    }

    proptest! {
        #[test]
        fn whatever_is_added_to_a_true_alert_changes_nothing(more: Vec<(String, String)>) {
            let ours = fact(&[("alertname", "A"), ("service", "points")]);
            let mut labels: Texts = more.into_iter().collect();
            labels.extend(ours.labels.clone());
            labels.insert("rollback".to_owned(), "automatic".to_owned());
            let (alert, trust) = Prometheus::Answered(Evidence(vec![ours.clone()])).verify(alert(labels, None));
            prop_assert_eq!(trust, Trust::Verified);
            prop_assert_eq!((alert.labels, alert.annotations), (ours.labels, ours.annotations));
            prop_assert_eq!(alert.fingerprint, "f");
        }
    }
}
