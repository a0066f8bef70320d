use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::{AlertKey, Evidence, Texts};

/// An alert that fires as far as this service knows.
#[derive(Clone, Debug)]
pub struct Firing {
    pub key: AlertKey,
    pub labels: Texts,
    /// True when Prometheus had it, or none was configured to ask.
    pub verified: bool,
}

/// The alerts that Alertmanager and Prometheus know at a moment.
#[derive(Clone, Debug)]
pub struct Known {
    /// The time since which all of them have run. Each may have forgotten earlier alerts.
    pub since: DateTime<Utc>,
    /// The fingerprints of Alertmanager's alerts, including muted ones.
    pub fingerprints: HashSet<String>,
    /// Prometheus' alerts, including pending ones.
    pub evidence: Evidence,
}

impl Known {
    /// True when a source has an alert that may be this one. Labels may be added and dropped between Prometheus
    /// and Alertmanager: two sets belong to one alert when no label contradicts.
    ///
    /// Alertmanager alone keeps only an unverified alert firing: anybody who reaches it can make it report any
    /// alert.
    pub fn knows(&self, alert: &Firing) -> bool {
        let agree = |theirs: &Texts| {
            theirs
                .iter()
                .all(|(name, value)| alert.labels.get(name).is_none_or(|ours| ours == value))
        };
        let told = !alert.verified && self.fingerprints.contains(&alert.key.0);
        told || self.evidence.0.iter().any(|alert| agree(&alert.labels))
    }
}

/// The alerts that no source knows any more, and since when.
#[derive(Debug, Default)]
pub struct Missing(HashMap<AlertKey, DateTime<Utc>>);

impl Missing {
    /// Compares the alerts that fire here with those that the sources know. Returns the alerts that have been
    /// unknown throughout `patience`, to sources that ran throughout it, and since when.
    pub fn look(
        &mut self,
        burning: &[Firing],
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

    /// Starts over, because a source did not answer: an unknown alert may have come back meanwhile.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}
