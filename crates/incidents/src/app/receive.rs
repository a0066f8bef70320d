use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use kit::{command, postgres};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Incidents, Run};
use crate::domain::{
    Advice, Alert, Classification, IncidentId, News, Notice, Number, Severity, Signals,
};
use crate::metrics;
use crate::store::alerts::{self, Opening};
use crate::store::incidents::{self, Locked, New, Quiet};
use crate::store::story::{self, Happened};

/// What Alertmanager sent in one call.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Byte for byte.
    pub payload: Vec<u8>,
    pub alerts: Vec<Alert>,
    /// There were more alerts than it sent.
    pub incomplete: bool,
}

/// What became of a delivery's alerts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Outcome {
    /// New alerts that opened an incident.
    pub opened: u64,
    /// New alerts whose cause had an incident already.
    pub joined: u64,
    /// Alerts that ended now.
    pub resolved: u64,
    /// Alerts that were told before.
    pub duplicate: u64,
    /// Alerts that ended without ever having fired here.
    pub unknown: u64,
}

/// New alerts of one cause, with what each was classified as.
type Group<'a> = Vec<(&'a Opening, Classification)>;

impl Incidents {
    /// Keeps the delivery and what it means, all or nothing. Once this succeeds Alertmanager may
    /// forget it. There is no idempotency key: fingerprint and start of each alert are one.
    pub async fn receive(&self, delivery: Delivery) -> Result<Outcome, Error> {
        let incidents = self.clone();
        command::run(async move {
            let now = incidents.clock.now();
            // In one order in every delivery, so that two with the same alerts never deadlock.
            let (beats, mut alerts): (Vec<_>, Vec<_>) =
                delivery.alerts.into_iter().partition(Alert::is_heartbeat);
            for beat in &beats {
                incidents.heartbeat(beat, now).await?;
            }
            // It comes all the time, and there is nothing else to it.
            if alerts.is_empty() && !beats.is_empty() {
                return Ok(Outcome::default());
            }
            alerts
                .sort_by(|a, b| (&a.fingerprint, a.starts_at).cmp(&(&b.fingerprint, b.starts_at)));
            let (firing, ended): (Vec<_>, Vec<_>) =
                alerts.into_iter().partition(|alert| alert.ends_at.is_none());
            let ends: Vec<_> =
                ended.iter().filter_map(|alert| Some((alert.key(), alert.ends_at?))).collect();
            let openings: Vec<_> = firing
                .into_iter()
                .map(|alert| Opening { incident: IncidentId(incidents.clock.id()), alert })
                .collect();

            let mut tx = postgres::begin(&incidents.db).await?;
            alerts::keep(&mut tx, incidents.clock.id(), now, &delivery.payload).await?;
            let new: HashSet<_> = alerts::insert(&mut tx, &openings).await?.into_iter().collect();
            let fresh = openings.iter().filter(|opening| new.contains(&opening.incident.0));
            let (opened, runs) =
                incidents.group(&mut tx, fresh.collect(), delivery.incomplete, now).await?;
            let gone = alerts::end(&mut tx, &ends).await?;
            incidents.settle(&mut tx, &gone.incidents(), now).await?;
            postgres::commit(tx).await?;
            for run in runs {
                command::detach(incidents.clone().drive(run));
            }

            let outcome = Outcome {
                opened: count(opened.len()),
                joined: count(new.len() - opened.len()),
                resolved: gone.now,
                duplicate: count(openings.len() - new.len()) + gone.known - gone.now,
                unknown: count(ends.len()) - gone.known,
            };
            metrics::received(&outcome, &opened);
            tracing::info!(
                opened = outcome.opened,
                joined = outcome.joined,
                resolved = outcome.resolved,
                duplicate = outcome.duplicate,
                unknown = outcome.unknown,
                "alerts received"
            );
            Ok(outcome)
        })
        .await
    }

    /// Puts new alerts into the incident of their cause, and opens one where none burns. Returns the
    /// severities of those that were opened, and the rollbacks that begin.
    async fn group(
        &self,
        tx: &mut PgConnection,
        fresh: Vec<&Opening>,
        incomplete: bool,
        now: DateTime<Utc>,
    ) -> Result<(Vec<Severity>, Vec<Run>), Error> {
        if fresh.is_empty() {
            return Ok(Default::default());
        }
        let mut groups: BTreeMap<String, Group<'_>> = BTreeMap::new();
        for opening in fresh {
            let Alert { labels, annotations, .. } = &opening.alert;
            let class = self.policy.thresholds.classify(labels, annotations);
            groups.entry(opening.alert.cause()).or_default().push((opening, class));
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
                    if group.iter().any(|(opening, _)| opening.alert.asks_for_rollback()) {
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
        Ok((opened.iter().map(|new| new.severity).collect(), runs))
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
        Ok(Some((*severity, notice)))
    }

    /// Resolves incidents in which nothing fires any more.
    pub(super) async fn settle(
        &self,
        tx: &mut PgConnection,
        ids: &[Uuid],
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let quiet = incidents::resolve_quiet(tx, ids).await?;
        let text = "Every alert has ended: resolved";
        let story: Vec<_> = quiet
            .iter()
            .map(|over| self.happened(over.id, over.resolved_at, "resolved", text.to_owned()))
            .collect();
        story::tell(tx, &story, now).await?;
        let notices = quiet.iter().map(over_notice).collect();
        self.announce_all(tx, notices, now).await
    }

    /// Something that the system itself did.
    pub(super) fn happened(
        &self,
        incident: Uuid,
        at: DateTime<Utc>,
        kind: &'static str,
        text: String,
    ) -> Happened {
        Happened { id: self.clock.id(), incident, at, kind, actor: None, text }
    }
}

/// The classification that decides for a group, which is never empty.
fn worst<'a>(group: &'a Group<'_>) -> &'a Classification {
    group.iter().map(|(_, class)| class).min_by_key(|c| c.severity).unwrap_or(&group[0].1)
}

fn opening_words(new: &New) -> String {
    format!("Opened as {}, because of {}: {}", new.severity.as_str(), new.rule, new.title)
}

fn opening_notice(new: &New, alert: &Alert, advice: &[Advice]) -> (Severity, Notice) {
    let annotation = |name: &str| alert.annotations.get(name).map(String::as_str);
    let mut lines = vec![annotation("description").unwrap_or("The alert says no more.").to_owned()];
    lines.push(format!("Severity decided by: {}.", new.rule));
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
    (new.severity, notice)
}

fn over_notice(over: &Quiet) -> (Severity, Notice) {
    let minutes = (over.resolved_at - over.opened_at).num_minutes().max(0);
    let notice = Notice {
        news: News::Resolved,
        incident: over.id,
        number: over.number.clone(),
        severity: over.severity.clone(),
        title: over.title.clone(),
        service: over.service.clone(),
        text: format!("Every alert has ended, after {minutes} minutes."),
    };
    (over.severity.parse().unwrap_or(Severity::P0), notice)
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
