use chrono::TimeDelta;
use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use kit::postgres;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Incidents, show};
use crate::domain::{Entry, EventKind, Facts, Markdown, PastAction, PastAlert, PastEvent, Status};
use crate::store::{incidents, postmortems};
use crate::view::{AlertView, IncidentDetail, Postmortem};

/// An edit of a postmortem.
#[derive(Clone, Debug)]
pub struct Draft {
    pub body: Markdown,
    /// The version that was edited.
    pub version: i32,
    /// True to finish the postmortem and close the incident with it.
    pub done: bool,
}

impl Incidents {
    /// Returns the postmortem as it was last edited, else as it is made from the record.
    pub async fn postmortem(&self, id: Uuid) -> Result<(IncidentDetail, Postmortem), Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let detail = show::detail(&mut conn, id, self.clock.now()).await?;
        let postmortem = match postmortems::find(&mut conn, id).await? {
            Some(postmortem) => postmortem,
            None => {
                let body = facts(&mut conn, &detail).await?.postmortem();
                Postmortem { body, version: 0, edited_at: None, edited_by: None }
            }
        };
        Ok((detail, postmortem))
    }

    /// Stores an edit, unless somebody else has edited the postmortem meanwhile.
    pub async fn write_postmortem(
        &self,
        by: Uuid,
        id: Uuid,
        key: Key,
        draft: Draft,
    ) -> Result<Answer<Postmortem>, Error> {
        let mut work = match command::begin(&self.db, by, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let now = self.clock.now();
        let incident = incidents::lock(&mut work, id).await?.ok_or(Error::UnknownIncident)?;
        let Draft { body, version, done } = draft;
        if !postmortems::write(&mut work, id, body.as_str(), version, by, now).await? {
            return Err(Error::PostmortemChanged);
        }
        let mut text = "Postmortem edited";
        if done && incident.status != Status::PostmortemDone {
            let status = incident.status.transition_to(Status::PostmortemDone)?;
            incidents::set_status(&mut work, id, status, now).await?;
            text = "Postmortem done";
        }
        let entry = Entry::by_system(id, now, EventKind::Postmortem, text);
        self.record(&mut work, &[Entry { actor: Some(by), ..entry }], now).await?;
        let (edited_at, edited_by) = (Some(now), Some(by));
        let body = body.as_str().to_owned();
        let postmortem = Postmortem { body, version: version + 1, edited_at, edited_by };
        Ok(work.commit(Success::Ok, postmortem).await?)
    }
}

async fn facts(conn: &mut PgConnection, detail: &IncidentDetail) -> Result<Facts, Error> {
    let incident = detail.incident.clone();
    let since = incident.opened_at - TimeDelta::days(90);
    let repeats = postmortems::repeats(conn, incident.incident_id, since).await?;
    let events = detail.timeline.iter();
    let undone = detail.checklist.iter().filter(|check| check.done_at.is_none());
    let actions = detail.actions.iter().cloned();
    Ok(Facts {
        number: incident.number,
        title: incident.title,
        severity: incident.severity,
        rule: incident.rule,
        services: detail.services.clone(),
        roles: detail.roles.iter().map(|r| (r.role.clone(), r.holder.clone())).collect(),
        started: incident.started_at,
        opened: incident.opened_at,
        acknowledged: incident.acknowledged_at,
        resolved: incident.resolved_at,
        resolution: incident.resolution,
        late_response: incident.response_breached_at.is_some(),
        late_resolution: incident.resolution_breached_at.is_some(),
        timeline: events
            .map(|e| PastEvent { at: e.at, kind: e.kind.as_str(), text: e.text.clone() })
            .collect(),
        alerts: detail.alerts.iter().map(alert).collect(),
        undone: undone.map(|check| check.text.clone()).collect(),
        actions: actions
            .map(|action| PastAction {
                text: action.text,
                assignee: action.assignee,
                priority: action.priority,
                due: action.due,
                done: action.done_at.is_some(),
            })
            .collect(),
        repeats: usize::try_from(repeats).unwrap_or(0),
    })
}

fn alert(alert: &AlertView) -> PastAlert {
    let text = |texts: &Value, name: &str| texts[name].as_str().map(str::to_owned);
    let description = text(&alert.annotations, "description");
    PastAlert {
        name: text(&alert.labels, "alertname").unwrap_or_else(|| "unnamed".to_owned()),
        description: description
            .or_else(|| text(&alert.annotations, "summary"))
            .unwrap_or_default(),
        runbook: text(&alert.annotations, "runbook_url"),
    }
}
