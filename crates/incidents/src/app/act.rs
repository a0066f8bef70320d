use chrono::{DateTime, Utc};
use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Incidents, show};
use crate::domain::{
    Entry, EventKind, LockedIncident, LongText, News, Notice, Refused, Role, Severity, ShortText,
    Status, checklist,
};
use crate::store::{incidents, timeline};
use crate::view::{Incident, IncidentDetail};

/// An operator's action on an incident.
#[derive(Clone, Debug)]
pub enum Action {
    Acknowledge,
    Move {
        to: Status,
        note: Option<LongText>,
    },
    /// Classifies the incident, and verifies an unverified one.
    Classify {
        severity: Severity,
        reason: ShortText,
    },
    Comment(LongText),
    /// Adds an event to the timeline at its own time.
    Note {
        at: DateTime<Utc>,
        text: LongText,
    },
    Assign {
        role: Role,
        holder: ShortText,
    },
    /// Adds an affected service.
    Affect(ShortText),
    Tick {
        item: String,
        done: bool,
    },
    Link(Uuid),
    /// Merges the incident into another one of the same cause, which goes on with its alerts.
    Merge(Uuid),
}

/// The incidents of an action, its operator and its time.
struct Scene {
    incident: LockedIncident,
    /// The second incident, when the action names one and it is found.
    other: Option<LockedIncident>,
    by: Uuid,
    now: DateTime<Utc>,
}

impl Incidents {
    /// Carries out an action, once for each key.
    pub async fn act(
        &self,
        by: Uuid,
        id: Uuid,
        key: Key,
        action: Action,
    ) -> Result<Answer<IncidentDetail>, Error> {
        let mut work = match command::begin(&self.db, by, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let scene = self.lock_scene(&mut work, by, id, &action).await?;
        let entries = self.perform(&mut work, &scene, action).await?;
        self.record(&mut work, &entries, scene.now).await?;
        let detail = show::detail(&mut work, id, scene.now).await?;
        if let Some(notice) = notice(&scene.incident, &detail.incident) {
            let severity = scene.incident.severity.min(detail.incident.severity);
            let severity = severity.notified_as(detail.incident.verified);
            let channels = self.policy.routes.of(severity);
            self.announce(&mut work, &channels, &notice, scene.now).await?;
        }
        Ok(work.commit(Success::Ok, detail).await?)
    }

    async fn lock_scene(
        &self,
        tx: &mut PgConnection,
        by: Uuid,
        id: Uuid,
        action: &Action,
    ) -> Result<Scene, Error> {
        let now = self.clock.now();
        let other = action.other();
        let ids: Vec<_> = [Some(id), other].into_iter().flatten().collect();
        let locked = incidents::lock_all(tx, &ids).await?;
        let find = |id| locked.iter().find(|incident| incident.id == id).cloned();
        let incident = find(id).ok_or(Error::UnknownIncident)?;
        Ok(Scene { incident, other: other.and_then(find), by, now })
    }

    /// Returns the entries for the timelines; none when the action changes nothing.
    async fn perform(
        &self,
        tx: &mut PgConnection,
        scene: &Scene,
        action: Action,
    ) -> Result<Vec<Entry>, Error> {
        let Scene { incident, by, now, .. } = scene;
        let (id, by, now) = (incident.id, *by, *now);
        let entry = match action {
            Action::Acknowledge => {
                incident.status.require_open()?;
                if incident.acknowledged_at.is_some() {
                    return Ok(Vec::new());
                }
                incidents::acknowledge(tx, id, now).await?;
                scene.entry(EventKind::Acknowledged, "Acknowledged")
            }
            Action::Move { to, note } => self.move_to(tx, scene, to, note).await?,
            Action::Classify { severity, reason } => {
                let target = self.policy.targets.of(severity);
                let reason = reason.as_str();
                let change = incident.reclassify(severity, target, "an operator", reason, Some(by));
                incidents::reclassify(tx, self.clock.id(), &change, now).await?;
                let (was, is) = (incident.severity.as_str(), severity.as_str());
                let verified = if incident.verified { "" } else { "Verified. " };
                scene.entry(EventKind::Severity, format!("{verified}{was} → {is}: {reason}"))
            }
            Action::Comment(text) => scene.entry(EventKind::Comment, text.as_str()),
            Action::Note { at, text } => {
                Entry { at, ..scene.entry(EventKind::Note, text.as_str()) }
            }
            Action::Assign { role, holder } => {
                timeline::assign(tx, id, role.as_str(), holder.as_str()).await?;
                let text = format!("{} is {}", holder.as_str(), role.words());
                scene.entry(EventKind::Role, text)
            }
            Action::Affect(service) => {
                let affected = [(id, service.as_str().to_owned())].into();
                if timeline::affect(tx, &affected).await? == 0 {
                    return Ok(Vec::new());
                }
                scene.entry(EventKind::Service, format!("{} is affected", service.as_str()))
            }
            Action::Tick { item, done } => {
                let check = checklist(incident.severity).iter().find(|check| check.item == item);
                let check = check.ok_or(Error::UnknownCheck)?;
                if !timeline::tick(tx, id, &item, done.then_some((now, by))).await? {
                    return Ok(Vec::new());
                }
                let word = if done { "Done" } else { "Not done" };
                scene.entry(EventKind::Checklist, format!("{word}: {}", check.text))
            }
            Action::Link(_) => {
                let other = scene.other()?;
                if !timeline::link(tx, id, other.id).await? {
                    return Ok(Vec::new());
                }
                let text = format!("Linked with {}", incident.number);
                let of_other = Entry { incident: other.id, ..scene.entry(EventKind::Linked, text) };
                let text = format!("Linked with {}", other.number);
                return Ok(vec![scene.entry(EventKind::Linked, text), of_other]);
            }
            Action::Merge(_) => return merge(tx, scene).await,
        };
        Ok(vec![entry])
    }

    async fn move_to(
        &self,
        tx: &mut PgConnection,
        scene: &Scene,
        to: Status,
        note: Option<LongText>,
    ) -> Result<Entry, Error> {
        let Scene { incident, now, .. } = scene;
        let to = incident.status.transition_to(to)?;
        incidents::set_status(tx, incident.id, to, *now).await?;
        incidents::acknowledge(tx, incident.id, *now).await?;
        let words = format!("{} → {}", incident.status.words(), to.words());
        let Some(note) = note else { return Ok(scene.entry(EventKind::Status, words)) };
        if to == Status::Resolved {
            incidents::set_resolution(tx, incident.id, note.as_str()).await?;
        }
        let text: String = format!("{words}: {}", note.as_str()).chars().take(4_000).collect();
        Ok(scene.entry(EventKind::Status, text))
    }
}

async fn merge(tx: &mut PgConnection, scene: &Scene) -> Result<Vec<Entry>, Error> {
    let (from, into, now) = (&scene.incident, scene.other()?, scene.now);
    from.status.require_open()?;
    into.status.require_open()?;
    timeline::take_over(tx, from.id, into.id).await?;
    incidents::set_merged(tx, from.id, into.id).await?;
    incidents::set_status(tx, from.id, Status::Resolved, now).await?;
    incidents::acknowledge(tx, from.id, now).await?;
    let text = format!("Took over {}: {}", from.number, from.title);
    let of_other = Entry { incident: into.id, ..scene.entry(EventKind::Merged, text) };
    let text = format!("Merged into {}", into.number);
    Ok(vec![scene.entry(EventKind::Merged, text), of_other])
}

impl Action {
    /// Returns the second incident of the action.
    fn other(&self) -> Option<Uuid> {
        match self {
            Self::Link(other) | Self::Merge(other) => Some(*other),
            _ => None,
        }
    }
}

impl Scene {
    fn entry(&self, kind: EventKind, text: impl Into<String>) -> Entry {
        let (incident, at, actor) = (self.incident.id, self.now, Some(self.by));
        Entry { incident, at, kind, actor, text: text.into() }
    }

    /// Returns the second incident, which must be another one.
    fn other(&self) -> Result<&LockedIncident, Error> {
        let other = self.other.as_ref().ok_or(Error::UnknownIncident)?;
        if other.id == self.incident.id { Err(Refused::Itself.into()) } else { Ok(other) }
    }
}

/// Returns the notice of an action that resolves or verifies an incident, or raises its severity.
fn notice(was: &LockedIncident, is: &Incident) -> Option<Notice> {
    let (news, text) = match is.resolved_at {
        Some(_) if was.status.is_open() => {
            (News::Resolved, is.resolution.clone().unwrap_or_else(|| "By an operator.".to_owned()))
        }
        None if is.verified && !was.verified => {
            let text = "Prometheus does not have its alerts; an operator has verified it.";
            (News::Opened, text.to_owned())
        }
        None if is.severity < was.severity => {
            let text = format!("{} became {}.", was.severity.as_str(), is.severity.as_str());
            (News::Worse, text)
        }
        _ => return None,
    };
    Some(Notice {
        news,
        incident: is.incident_id,
        number: is.number.clone(),
        severity: is.severity,
        title: is.title.clone(),
        service: is.service.clone(),
        text,
    })
}
