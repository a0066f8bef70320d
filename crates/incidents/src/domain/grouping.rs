//! Grouping: new alerts of one cause are one incident.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Alert, Classification, Entry, EventKind, LockedIncident, NewIncident, News, Notice, Number,
    Opening, Reclassification, Severity, Signals, Targets, Thresholds, Trust,
};

const UNVERIFIED: &str =
    "Prometheus does not have the alert: anybody who reaches Alertmanager can have sent it.";

/// New alerts by their cause.
#[derive(Debug)]
pub struct Causes<'a>(BTreeMap<String, Vec<New<'a>>>);

/// A new alert with its classification.
#[derive(Debug)]
struct New<'a> {
    opening: &'a Opening,
    class: Classification,
}

/// The facts that a grouping depends on.
#[derive(Debug)]
pub struct Situation<'a> {
    pub targets: &'a Targets,
    /// The open incidents of the causes.
    pub open: Vec<LockedIncident>,
    /// The number of the last incident of the year.
    pub last: Number,
    /// True when there were more alerts than were delivered.
    pub incomplete: bool,
    pub now: DateTime<Utc>,
}

/// The effect of new alerts.
#[derive(Debug, Default)]
pub struct Grouping {
    pub opened: Vec<NewIncident>,
    pub reclassified: Vec<Reclassification>,
    /// The incidents that alerts would have opened, and those that they belong to instead.
    pub moved: BTreeMap<Uuid, Uuid>,
    /// Incidents, and the services that they affect.
    pub affected: BTreeSet<(Uuid, String)>,
    pub entries: Vec<Entry>,
    /// Notices, and the severity whose channels receive each.
    pub notices: Vec<(Severity, Notice)>,
}

impl<'a> Causes<'a> {
    /// Classifies new alerts and sorts them by cause.
    pub fn of(openings: impl IntoIterator<Item = &'a Opening>, thresholds: &Thresholds) -> Self {
        let mut causes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for opening in openings {
            let Alert { labels, annotations, .. } = &opening.alert;
            let class = thresholds.classify(labels, annotations);
            let cause = opening.alert.cause(opening.trust);
            causes.entry(cause).or_default().push(New { opening, class });
        }
        Self(causes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// Decides which incidents the alerts open, and which they join.
    pub fn group(self, situation: &Situation<'_>) -> Grouping {
        let open: HashMap<_, _> = situation.open.iter().map(|i| (i.cause.as_str(), i)).collect();
        let mut grouping = Grouping::default();
        for (cause, alerts) in &self.0 {
            let incident = match open.get(cause.as_str()) {
                Some(incident) => grouping.join(incident, alerts, situation),
                None => grouping.open(cause, alerts, situation),
            };
            for New { opening, .. } in alerts {
                grouping.affected.insert((incident, opening.alert.service()));
                if opening.incident != incident {
                    grouping.moved.insert(opening.incident, incident);
                }
            }
        }
        grouping
    }
}

impl Grouping {
    /// Returns the severities of the opened incidents.
    pub fn severities(&self) -> impl Iterator<Item = Severity> {
        self.opened.iter().map(|new| new.severity)
    }

    /// Adds alerts to an open incident. They can raise its severity, unless an operator has classified it; they
    /// never lower it.
    fn join(&mut self, incident: &LockedIncident, alerts: &[New<'_>], at: &Situation<'_>) -> Uuid {
        let id = incident.id;
        let text = match alerts {
            [only] => format!("Another alert joined: {}", only.opening.alert.title()),
            more => format!("{} more alerts joined", more.len()),
        };
        self.entries.push(Entry::by_system(id, at.now, EventKind::AlertJoined, text));
        let Classification { severity, rule, .. } = worst(alerts);
        if incident.by_hand || *severity >= incident.severity {
            return id;
        }
        let target = at.targets.of(*severity);
        self.reclassified.push(incident.reclassify(*severity, target, rule, rule, None));
        let text = format!("{} became {}: {rule}", incident.severity.as_str(), severity.as_str());
        let notice = Notice {
            news: News::Worse,
            incident: id,
            number: incident.number.clone(),
            severity: *severity,
            title: incident.title.clone(),
            service: alerts[0].opening.alert.service(),
            text: format!("{text}."),
        };
        self.notices.push((severity.notified_as(incident.verified), notice));
        self.entries.push(Entry::by_system(id, at.now, EventKind::Severity, text));
        id
    }

    /// Opens an incident.
    fn open(&mut self, cause: &str, alerts: &[New<'_>], at: &Situation<'_>) -> Uuid {
        let Opening { incident: id, alert, trust } = alerts[0].opening;
        let class = worst(alerts);
        let starts = alerts.iter().map(|new| new.opening.alert.starts_at);
        let new = NewIncident {
            id: *id,
            number: self.opened.last().map_or(at.last, |new| new.number).next(),
            cause: cause.to_owned(),
            title: alert.title(),
            service: alert.service(),
            severity: class.severity,
            verified: trust.is_believed(),
            uncertain: alerts.iter().any(|new| new.class.uncertain),
            rule: class.rule.clone(),
            incomplete: at.incomplete,
            started_at: starts.min().unwrap_or(at.now),
            opened_at: at.now,
            target: at.targets.of(class.severity),
            asks_for_rollback: alerts.iter().any(|new| {
                new.opening.trust == Trust::Verified && new.opening.alert.asks_for_rollback()
            }),
        };
        self.entries.push(Entry::by_system(*id, at.now, EventKind::Opened, entry(&new)));
        let texts = alerts.iter().map(|new| &new.opening.alert);
        let texts = texts.map(|alert| (&alert.labels, &alert.annotations));
        let signals = Signals::of(new.severity, texts, at.now);
        self.notices.push((new.severity.notified_as(new.verified), notice(&new, alert, &signals)));
        self.opened.push(new);
        *id
    }
}

/// Returns the classification that decides for alerts of one cause, of which there is at least one.
fn worst<'a>(alerts: &'a [New<'_>]) -> &'a Classification {
    alerts.iter().map(|new| &new.class).min_by_key(|c| c.severity).unwrap_or(&alerts[0].class)
}

fn entry(new: &NewIncident) -> String {
    let text =
        format!("Opened as {}, because of {}: {}", new.severity.as_str(), new.rule, new.title);
    if new.verified { text } else { format!("{text}. {UNVERIFIED}") }
}

fn notice(new: &NewIncident, alert: &Alert, signals: &Signals) -> Notice {
    let annotation = |name: &str| alert.annotations.get(name).map(String::as_str);
    let mut lines =
        vec![annotation("description").unwrap_or("The alert has no description.").to_owned()];
    lines.push(format!("Severity decided by: {}.", new.rule));
    if !new.verified {
        lines.push(UNVERIFIED.to_owned());
    }
    if new.uncertain {
        lines.push("The alert has no clear severity: please classify the incident.".to_owned());
    }
    let advice = signals.advice();
    lines.extend(advice.first().map(|a| format!("Advice: {}. {}", a.repair.words(), a.why)));
    lines.extend(annotation("runbook_url").map(|runbook| format!("Runbook: {runbook}")));
    Notice {
        news: News::Opened,
        incident: new.id,
        number: new.number.to_string(),
        severity: new.severity,
        title: new.title.clone(),
        service: new.service.clone(),
        text: lines.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Status, Texts};
    use super::*;

    fn opening(id: u128, cause: &str, severity: &str, trust: Trust) -> Opening {
        let labels = [("cause", cause), ("severity", severity), ("service", cause)];
        let labels: Texts = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let alert = Alert {
            fingerprint: id.to_string(),
            starts_at: DateTime::UNIX_EPOCH,
            ends_at: None,
            labels,
            annotations: Texts::new(),
        };
        Opening { incident: Uuid::from_u128(id), alert, trust }
    }

    /// An open incident of the cause of an alert.
    fn open(id: u128, alert: &Opening, severity: Severity) -> LockedIncident {
        LockedIncident {
            id: Uuid::from_u128(id),
            number: "INC-2026-0007".to_owned(),
            cause: alert.alert.cause(alert.trust),
            title: String::new(),
            status: Status::Investigating,
            severity,
            verified: alert.trust.is_believed(),
            by_hand: false,
            opened_at: DateTime::UNIX_EPOCH,
            acknowledged_at: None,
        }
    }

    fn group(alerts: &[Opening], open: Vec<LockedIncident>) -> Grouping {
        let last = Number { year: 2026, nth: 7 };
        let (targets, now) = (&Targets::default(), DateTime::UNIX_EPOCH);
        let situation = Situation { targets, open, last, incomplete: false, now };
        Causes::of(alerts, &Thresholds::default()).group(&situation)
    }

    fn kinds(grouping: &Grouping) -> Vec<EventKind> {
        grouping.entries.iter().map(|entry| entry.kind).collect()
    }

    #[test]
    fn alerts_of_one_cause_open_one_incident_of_the_worst_severity() {
        let alerts = [
            opening(1, "disk", "warning", Trust::Assumed),
            opening(2, "disk", "critical", Trust::Assumed),
            opening(3, "net", "info", Trust::Assumed),
        ];
        let found = group(&alerts, vec![]);
        let mut severities: Vec<_> = found.severities().collect();
        severities.sort_unstable();
        assert_eq!(severities, [Severity::P0, Severity::P3]);
        let numbers: Vec<_> = found.opened.iter().map(|new| new.number.nth).collect();
        assert_eq!(numbers, [8, 9]);
        assert_eq!(found.moved, [(Uuid::from_u128(2), Uuid::from_u128(1))].into());
        assert_eq!(kinds(&found), [EventKind::Opened, EventKind::Opened]);
        assert!(found.reclassified.is_empty());
    }

    #[test]
    fn an_alert_that_joins_raises_the_severity_and_never_lowers_it() {
        let alert = opening(2, "disk", "error", Trust::Assumed);
        let joins = |severity, by_hand| {
            let incident = LockedIncident { by_hand, ..open(1, &alert, severity) };
            group(std::slice::from_ref(&alert), vec![incident])
        };
        let raised = joins(Severity::P2, false);
        assert!(raised.opened.is_empty());
        assert_eq!(raised.moved, [(Uuid::from_u128(2), Uuid::from_u128(1))].into());
        assert_eq!(kinds(&raised), [EventKind::AlertJoined, EventKind::Severity]);
        let change = &raised.reclassified[0];
        assert_eq!((change.was, change.severity, change.by), (Severity::P2, Severity::P1, None));
        assert_eq!(raised.notices[0].0, Severity::P1);
        // Neither does an alert that is as bad change it, nor any alert after an operator.
        for same in
            [joins(Severity::P1, false), joins(Severity::P0, false), joins(Severity::P3, true)]
        {
            assert!(same.reclassified.is_empty() && same.notices.is_empty());
            assert_eq!(kinds(&same), [EventKind::AlertJoined]);
        }
    }

    #[test]
    fn an_unverified_alert_joins_no_verified_incident_and_wakes_nobody() {
        let verified = opening(1, "disk", "critical", Trust::Verified);
        let unverified = opening(2, "disk", "critical", Trust::Unverified);
        let found = group(&[unverified], vec![open(1, &verified, Severity::P0)]);
        assert_eq!(found.opened.len(), 1);
        assert!(!found.opened[0].verified);
        assert_eq!(found.opened[0].severity, Severity::P0);
        assert_eq!(found.notices[0].0, Severity::P3);
        assert!(found.notices[0].1.text.contains(UNVERIFIED));
    }

    #[test]
    fn only_an_alert_that_prometheus_has_asks_for_a_rollback() {
        for (trust, asks) in
            [(Trust::Verified, true), (Trust::Assumed, false), (Trust::Unverified, false)]
        {
            let mut alert = opening(1, "disk", "critical", trust);
            alert.alert.labels.insert("rollback".to_owned(), "automatic".to_owned());
            assert_eq!(group(&[alert], vec![]).opened[0].asks_for_rollback, asks, "{trust:?}");
        }
    }
}
