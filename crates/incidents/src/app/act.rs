use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Incident, Incidents, show};
use crate::domain::{Line, News, Notice, Prose, Refused, Severity, Status, checklist};
use crate::store::incidents::{self, Locked};
use crate::store::story::{self, Happened};

/// What an operator does to an incident.
#[derive(Clone, Debug)]
pub enum Action {
    /// Somebody is on it.
    Acknowledge,
    Move {
        to: Status,
        note: Option<Prose>,
    },
    /// Whoever classifies an incident that nobody vouches for does so.
    Classify {
        severity: Severity,
        reason: Line,
    },
    Comment(Prose),
    /// Something that happened outside: a timeline entry of its own time.
    Note {
        at: DateTime<Utc>,
        text: Prose,
    },
    Assign {
        role: Role,
        holder: Line,
    },
    /// Another service is affected.
    Affect(Line),
    Tick {
        item: String,
        done: bool,
    },
    Link(Uuid),
    /// The same cause after all: the other one goes on, with this one's alerts.
    Merge(Uuid),
}

/// A role in the response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ResponseRole)]
pub enum Role {
    Commander,
    TechnicalLead,
    CommunicationsLead,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Commander, Self::TechnicalLead, Self::CommunicationsLead];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commander => "commander",
            Self::TechnicalLead => "technical_lead",
            Self::CommunicationsLead => "communications_lead",
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Commander => "commander",
            Self::TechnicalLead => "technical lead",
            Self::CommunicationsLead => "communications lead",
        }
    }
}

/// What goes into the timeline, when it happened, and what kind of thing it was.
type Entry = (&'static str, DateTime<Utc>, String);

impl Incidents {
    /// Does it once for each key. The answer's body is the incident after it.
    pub async fn act(
        &self,
        actor: Uuid,
        id: Uuid,
        key: Key,
        action: Action,
    ) -> Result<Answer, Error> {
        let incidents = self.clone();
        command::run(async move {
            let principal = actor.to_string();
            let mut tx = postgres::begin(&incidents.db).await?;
            if let Some(answer) = idempotency::claim(&mut tx, &principal, &key).await? {
                return Ok(answer);
            }

            let now = incidents.clock.now();
            let mut ids = vec![id];
            ids.extend(action.other());
            let locked = incidents::lock(&mut tx, &ids).await?;
            let incident = locked.iter().find(|i| i.id == id).ok_or(Error::NotFound)?;
            let other = locked.iter().find(|i| Some(i.id) == action.other());
            let entries = incidents.perform(&mut tx, actor, incident, other, action, now).await?;
            let story: Vec<_> = entries
                .into_iter()
                .map(|(incident, (kind, at, text))| Happened {
                    id: incidents.clock.id(),
                    incident,
                    at,
                    kind,
                    actor: Some(actor),
                    text,
                })
                .collect();
            story::tell(&mut tx, &story, now).await?;
            let detail = show::detail(&mut tx, id, now).await?;
            if let Some(notice) = news(incident, &detail.incident) {
                let severity = incident.severity.min(severity(&detail.incident));
                let severity = severity.told(detail.incident.verified);
                let channels = incidents.policy.routes.of(severity);
                incidents.announce(&mut tx, &channels, &notice, now).await?;
            }
            let answer = Answer::json(StatusCode::OK, &detail);
            idempotency::record(&mut tx, &principal, &key, &answer).await?;
            postgres::commit(tx).await?;
            Ok(answer)
        })
        .await
    }

    /// Returns what to tell, and of which incident.
    async fn perform(
        &self,
        tx: &mut PgConnection,
        actor: Uuid,
        incident: &Locked,
        other: Option<&Locked>,
        action: Action,
        now: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, Entry)>, Error> {
        let id = incident.id;
        let one = |kind, text| Ok(vec![(id, (kind, now, text))]);
        match action {
            Action::Acknowledge => {
                incident.status.burning()?;
                if incident.acknowledged_at.is_some() {
                    return Ok(Vec::new());
                }
                incidents::acknowledge(tx, id, now).await?;
                one("acknowledged", "Acknowledged".to_owned())
            }
            Action::Move { to, note } => {
                let to = incident.status.become_(to)?;
                incidents::set_status(tx, id, to, now).await?;
                incidents::acknowledge(tx, id, now).await?;
                let words = format!("{} → {}", incident.status.words(), to.words());
                let Some(note) = note else { return one("status", words) };
                if to == Status::Resolved {
                    incidents::set_resolution(tx, id, note.as_str()).await?;
                }
                let text = format!("{words}: {}", note.as_str());
                one("status", text.chars().take(4_000).collect())
            }
            Action::Classify { severity, reason } => {
                let target = self.policy.targets.of(severity);
                incidents::classify(tx, incident, severity, "an operator", true, target).await?;
                let change = (incident.severity, severity);
                let (reason, by) = (reason.as_str(), Some(actor));
                story::classified(tx, self.clock.id(), id, change, reason, by, now).await?;
                let (was, is) = (incident.severity.as_str(), severity.as_str());
                let vouched = if incident.verified { "" } else { "Vouched for. " };
                one("severity", format!("{vouched}{was} → {is}: {reason}"))
            }
            Action::Comment(text) => one("comment", text.as_str().to_owned()),
            Action::Note { at, text } => Ok(vec![(id, ("note", at, text.as_str().to_owned()))]),
            Action::Assign { role, holder } => {
                story::assign(tx, id, role.as_str(), holder.as_str()).await?;
                one("role", format!("{} is {}", holder.as_str(), role.words()))
            }
            Action::Affect(service) => {
                let new = story::affect(tx, &[(id, service.as_str().to_owned())]).await? == 1;
                if new {
                    one("service", format!("{} is affected", service.as_str()))
                } else {
                    Ok(vec![])
                }
            }
            Action::Tick { item, done } => {
                let check = checklist(incident.severity).iter().find(|check| check.item == item);
                let check = check.ok_or(Error::UnknownCheck)?;
                let changed = story::tick(tx, id, &item, done.then_some((now, actor))).await?;
                let word = if done { "Done" } else { "Not done after all" };
                if changed {
                    one("checklist", format!("{word}: {}", check.text))
                } else {
                    Ok(vec![])
                }
            }
            Action::Link(_) => {
                let other = different(incident, other)?;
                if !story::link(tx, id, other.id).await? {
                    return Ok(Vec::new());
                }
                let linked = |to: &Locked| ("linked", now, format!("Linked with {}", to.number));
                Ok(vec![(id, linked(other)), (other.id, linked(incident))])
            }
            Action::Merge(_) => self.merge(tx, incident, different(incident, other)?, now).await,
        }
    }

    async fn merge(
        &self,
        tx: &mut PgConnection,
        from: &Locked,
        into: &Locked,
        now: DateTime<Utc>,
    ) -> Result<Vec<(Uuid, Entry)>, Error> {
        from.status.burning()?;
        into.status.burning()?;
        story::take_over(tx, from.id, into.id).await?;
        incidents::set_merged(tx, from.id, into.id).await?;
        incidents::set_status(tx, from.id, Status::Resolved, now).await?;
        incidents::acknowledge(tx, from.id, now).await?;
        let told = |text| ("merged", now, text);
        Ok(vec![
            (from.id, told(format!("Merged into {}", into.number))),
            (into.id, told(format!("Took over {}: {}", from.number, from.title))),
        ])
    }
}

impl Action {
    /// The second incident it is about.
    fn other(&self) -> Option<Uuid> {
        match self {
            Self::Link(other) | Self::Merge(other) => Some(*other),
            _ => None,
        }
    }
}

fn severity(incident: &Incident) -> Severity {
    incident.severity.parse().unwrap_or(Severity::P0) // a CHECK knows them all
}

/// What people hear of an operator's action: that it is over, that it is real, or worse than they thought.
fn news(was: &Locked, is: &Incident) -> Option<Notice> {
    let (news, text) = match is.resolved_at {
        Some(_) if was.status.is_open() => {
            (News::Resolved, is.resolution.clone().unwrap_or_else(|| "By an operator.".to_owned()))
        }
        None if is.verified && !was.verified => {
            let text = "Prometheus does not know its alerts; an operator vouches for it.";
            (News::Opened, text.to_owned())
        }
        None if severity(is) < was.severity => {
            let text = format!("{} became {}.", was.severity.as_str(), is.severity);
            (News::Worse, text)
        }
        _ => return None,
    };
    Some(Notice {
        news,
        incident: is.incident_id,
        number: is.number.clone(),
        severity: is.severity.clone(),
        title: is.title.clone(),
        service: is.service.clone(),
        text,
    })
}

fn different<'a>(incident: &Locked, other: Option<&'a Locked>) -> Result<&'a Locked, Error> {
    let other = other.ok_or(Error::NotFound)?;
    if other.id == incident.id { Err(Refused::Itself.into()) } else { Ok(other) }
}
