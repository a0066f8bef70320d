use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Evidence, Texts};

/// Which alert: its fingerprint and its start.
pub type AlertKey = (String, DateTime<Utc>);

/// An alert that fires as far as we were told.
#[derive(Clone, Debug)]
pub struct Burning {
    pub key: AlertKey,
    pub labels: Texts,
    /// Prometheus knew it, or nobody could be asked.
    pub verified: bool,
}

/// What Alertmanager and Prometheus know at a moment.
#[derive(Clone, Debug)]
pub struct Known {
    /// Since when all of them run: what was before, each may have forgotten.
    pub since: DateTime<Utc>,
    /// The fingerprints of Alertmanager's alerts, muted ones too.
    pub fingerprints: HashSet<String>,
    /// Prometheus' alerts, pending ones too.
    pub evidence: Evidence,
}

impl Known {
    /// Anybody knows something that may be this alert. On the way from Prometheus to Alertmanager labels
    /// may be added and dropped: two sets are of one alert when they contradict each other nowhere.
    ///
    /// Alertmanager's word keeps up what is Alertmanager's word alone: whoever reaches it can have it say that
    /// anything still fires.
    pub fn knows(&self, alert: &Burning) -> bool {
        let agree = |theirs: &Texts| {
            theirs
                .iter()
                .all(|(name, value)| alert.labels.get(name).is_none_or(|ours| ours == value))
        };
        let told = !alert.verified && self.fingerprints.contains(&alert.key.0);
        told || self.evidence.0.iter().any(|fact| agree(&fact.labels))
    }
}

/// Which alerts nobody knows any more, and since when: one look after the other.
#[derive(Debug, Default)]
pub struct Missing(HashMap<AlertKey, DateTime<Utc>>);

impl Missing {
    /// Takes in what fires here and what is known there. Returns the alerts that have been unknown
    /// throughout `patience`, by sources that ran throughout it, and since when.
    pub fn look(
        &mut self,
        burning: &[Burning],
        known: &Known,
        now: DateTime<Utc>,
        patience: TimeDelta,
    ) -> Vec<(AlertKey, DateTime<Utc>)> {
        let unknown = burning.iter().filter(|alert| !known.knows(alert)).map(|alert| {
            let first = self.0.get(&alert.key).copied().unwrap_or(now);
            (alert.key.clone(), first.max(known.since))
        });
        self.0 = unknown.collect();
        let given_up = self.0.iter().filter(|(_, since)| now - **since >= patience);
        given_up.map(|(key, since)| (key.clone(), *since)).collect()
    }

    /// Somebody could not be asked: what was unknown may have come back unseen.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}
