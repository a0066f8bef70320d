//! Which alerts are one incident.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Incidents, Run};
use crate::domain::{
    Advice, Alert, Classification, News, Notice, Number, Severity, Signals, Trust,
};
use crate::store::alerts::{self, Opening};
use crate::store::incidents::{self, Locked, New};
use crate::store::story::{self, Happened};

/// New alerts of one cause, with what each was classified as.
type Group<'a> = Vec<(&'a Opening, Classification)>;

const UNVERIFIED: &str =
    "Prometheus does not know the alert: whoever reaches Alertmanager can have made it up.";

/// What became of new alerts.
#[derive(Default)]
pub(super) struct Grouped {
    /// The severities of the incidents that were opened.
    pub(super) opened: Vec<Severity>,
    /// The rollbacks that begin.
    pub(super) runs: Vec<Run>,
    /// From the incidents that were proposed to those that the alerts are in, where they are others.
    pub(super) moves: HashMap<Uuid, Uuid>,
}

impl Incidents {
    /// Puts new alerts into the incident of their cause, and opens one where none burns.
    pub(super) async fn group(
        &self,
        tx: &mut PgConnection,
        fresh: Vec<&Opening>,
        incomplete: bool,
        now: DateTime<Utc>,
    ) -> Result<Grouped, Error> {
        if fresh.is_empty() {
            return Ok(Grouped::default());
        }
        let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
        for opening in fresh {
            let Alert { labels, annotations, .. } = &opening.alert;
            let class = self.policy.thresholds.classify(labels, annotations);
            let cause = opening.alert.cause(opening.trust);
            groups.entry(cause).or_default().push((opening, class));
        }
        let year = Number::year(now);
        let mut last = incidents::last_number(tx, year).await?;
        let causes: Vec<_> = groups.keys().cloned().collect();
        let burning = incidents::lock_burning(tx, &causes).await?;
        let mut burning: HashMap<_, _> =
            burning.into_iter().map(|locked| (locked.cause.clone(), locked)).collect();

        let (mut opened, mut moves, mut story, mut services) = (vec![], vec![], vec![], vec![]);
        let (mut notices, mut automatic) = (vec![], vec![]);
        for (cause, group) in groups {
            let joins = burning.remove(&cause);
            let id = match &joins {
                Some(locked) => {
                    notices.extend(self.join(tx, locked, &group, now, &mut story).await?);
                    locked.id
                }
                None => {
                    last += 1;
                    let number = Number { year, nth: last };
                    let new = self.opening(number, cause, &group, incomplete, now);
                    story.push(self.happened(new.id, now, "opened", opening_words(&new)));
                    let alerts = group.iter().map(|(o, _)| (&o.alert.labels, &o.alert.annotations));
                    let advice = Signals::of(new.severity, alerts, now).advice();
                    if self.policy.rolls_back_by_itself && group.iter().any(asks_for_rollback) {
                        automatic.push((new.id, number.to_string(), new.service.clone()));
                    }
                    notices.push(opening_notice(&new, &group[0].0.alert, &advice));
                    opened.push(new);
                    group[0].0.incident.0
                }
            };
            services.extend(group.iter().map(|(opening, _)| (id, opening.alert.service())));
            let elsewhere = group.iter().filter(|(opening, _)| opening.incident.0 != id);
            moves.extend(elsewhere.map(|(opening, _)| (opening.incident.0, id)));
        }
        incidents::open(tx, &opened).await?;
        alerts::regroup(tx, &moves).await?;
        services.sort();
        services.dedup();
        story::affect(tx, &services).await?;
        story::tell(tx, &story, now).await?;
        self.announce_all(tx, notices, now).await?;
        let mut runs = Vec::new();
        for (incident, number, service) in automatic {
            let run = Run { id: self.clock.id(), incident, number, service };
            match self.begin_rollback(tx, &run, None, now).await {
                Ok(()) => runs.push(run),
                Err(error @ Error::Database(_)) => return Err(error),
                // The alert is kept all the same.
                Err(error) => {
                    tracing::warn!(%error, service = run.service, "no automatic rollback")
                }
            }
        }
        let opened = opened.iter().map(|new| new.severity).collect();
        Ok(Grouped { opened, runs, moves: moves.into_iter().collect() })
    }

    fn opening(
        &self,
        number: Number,
        cause: String,
        group: &Group<'_>,
        incomplete: bool,
        now: DateTime<Utc>,
    ) -> New {
        let first = &group[0].0;
        let class = worst(group);
        New {
            id: first.incident.0,
            number,
            cause,
            title: first.alert.title(),
            service: first.alert.service(),
            severity: class.severity,
            verified: first.trust.is_believed(),
            uncertain: group.iter().any(|(_, class)| class.uncertain),
            rule: class.rule.clone(),
            incomplete,
            started_at: group.iter().map(|(o, _)| o.alert.starts_at).min().unwrap_or(now),
            opened_at: now,
            target: self.policy.targets.of(class.severity),
        }
    }

    /// An incident gets worse by an alert that joins, unless a person has classified it; never milder.
    async fn join(
        &self,
        tx: &mut PgConnection,
        locked: &Locked,
        group: &Group<'_>,
        now: DateTime<Utc>,
        story: &mut Vec<Happened>,
    ) -> Result<Option<(Severity, Notice)>, Error> {
        let text = match group.as_slice() {
            [(only, _)] => format!("Another alert joined: {}", only.alert.title()),
            more => format!("{} more alerts joined", more.len()),
        };
        story.push(self.happened(locked.id, now, "alert_joined", text));
        let class = worst(group);
        if locked.by_hand || class.severity >= locked.severity {
            return Ok(None);
        }
        let Classification { severity, rule, .. } = class;
        let target = self.policy.targets.of(*severity);
        incidents::classify(tx, locked, *severity, rule, false, target).await?;
        let change = (locked.severity, *severity);
        story::classified(tx, self.clock.id(), locked.id, change, rule, None, now).await?;
        let text = format!("{} became {}: {rule}", locked.severity.as_str(), severity.as_str());
        let notice = Notice {
            news: News::Worse,
            incident: locked.id,
            number: locked.number.clone(),
            severity: severity.as_str().to_owned(),
            title: locked.title.clone(),
            service: group[0].0.alert.service(),
            text: format!("{text}."),
        };
        story.push(self.happened(locked.id, now, "severity", text));
        Ok(Some((severity.told(locked.verified), notice)))
    }
}

/// The classification that decides for a group, which is never empty.
fn worst<'a>(group: &'a Group<'_>) -> &'a Classification {
    group.iter().map(|(_, class)| class).min_by_key(|c| c.severity).unwrap_or(&group[0].1)
}

fn opening_words(new: &New) -> String {
    let words =
        format!("Opened as {}, because of {}: {}", new.severity.as_str(), new.rule, new.title);
    if new.verified { words } else { format!("{words}. {UNVERIFIED}") }
}

/// Prometheus itself wants the service taken back.
fn asks_for_rollback((opening, _): &(&Opening, Classification)) -> bool {
    opening.trust == Trust::Verified && opening.alert.asks_for_rollback()
}

fn opening_notice(new: &New, alert: &Alert, advice: &[Advice]) -> (Severity, Notice) {
    let annotation = |name: &str| alert.annotations.get(name).map(String::as_str);
    let mut lines = vec![annotation("description").unwrap_or("The alert says no more.").to_owned()];
    lines.push(format!("Severity decided by: {}.", new.rule));
    if !new.verified {
        lines.push(UNVERIFIED.to_owned());
    }
    if new.uncertain {
        lines
            .push("The alert did not say clearly how severe it is: please classify it.".to_owned());
    }
    lines.extend(advice.first().map(|a| format!("Advice: {}. {}", a.repair.words(), a.why)));
    lines.extend(annotation("runbook_url").map(|runbook| format!("Runbook: {runbook}")));
    let notice = Notice {
        news: News::Opened,
        incident: new.id,
        number: new.number.to_string(),
        severity: new.severity.as_str().to_owned(),
        title: new.title.clone(),
        service: new.service.clone(),
        text: lines.join("\n"),
    };
    (new.severity.told(new.verified), notice)
}
