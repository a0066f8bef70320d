use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, IncidentDetail, Incidents, show};
use crate::domain::{Facts, Markdown, Status};
use crate::store::story::Happened;
use crate::store::{incidents, learning, story};

/// A postmortem, as Markdown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Postmortem {
    pub body: String,
    /// 0: nobody has edited it; it is made from the record.
    pub version: i32,
    pub edited_at: Option<DateTime<Utc>>,
    pub edited_by: Option<Uuid>,
}

/// What an editor sends.
#[derive(Clone, Debug)]
pub struct Draft {
    pub body: Markdown,
    /// The version that was edited.
    pub version: i32,
    /// It is done: the incident is closed with it.
    pub done: bool,
}

impl Incidents {
    /// As it was last edited, else made from the record.
    pub async fn postmortem(&self, id: Uuid) -> Result<(IncidentDetail, Postmortem), Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        let detail = show::detail(&mut conn, id, self.clock.now()).await?;
        let postmortem = match learning::postmortem(&mut conn, id).await? {
            Some(postmortem) => postmortem,
            None => {
                let body = facts(&mut conn, &detail).await?.postmortem();
                Postmortem { body, version: 0, edited_at: None, edited_by: None }
            }
        };
        Ok((detail, postmortem))
    }

    /// Keeps an edit, unless somebody else has kept one meanwhile.
    pub async fn write_postmortem(
        &self,
        actor: Uuid,
        id: Uuid,
        key: Key,
        draft: Draft,
    ) -> Result<Answer, Error> {
        let incidents = self.clone();
        command::run(async move {
            let principal = actor.to_string();
            let mut tx = postgres::begin(&incidents.db).await?;
            if let Some(answer) = idempotency::claim(&mut tx, &principal, &key).await? {
                return Ok(answer);
            }
            let now = incidents.clock.now();
            let locked = incidents::lock(&mut tx, &[id]).await?;
            let incident = locked.first().ok_or(Error::NotFound)?;
            let Draft { body, version, done } = draft;
            if !learning::write(&mut tx, id, body.as_str(), version, actor, now).await? {
                return Err(Error::PostmortemChanged);
            }
            let mut words = "Postmortem edited";
            if done && incident.status != Status::PostmortemDone {
                let status = incident.status.become_(Status::PostmortemDone)?;
                incidents::set_status(&mut tx, id, status, now).await?;
                words = "Postmortem done";
            }
            let event = Happened {
                actor: Some(actor),
                ..incidents.happened(id, now, "postmortem", words.to_owned())
            };
            story::tell(&mut tx, &[event], now).await?;
            let (edited_at, edited_by) = (Some(now), Some(actor));
            let body = body.as_str().to_owned();
            let answer = Postmortem { body, version: version + 1, edited_at, edited_by };
            let answer = Answer::json(StatusCode::OK, &answer);
            idempotency::record(&mut tx, &principal, &key, &answer).await?;
            postgres::commit(tx).await?;
            Ok(answer)
        })
        .await
    }
}

async fn facts(conn: &mut PgConnection, detail: &IncidentDetail) -> Result<Facts, Error> {
    let incident = detail.incident.clone();
    let since = incident.opened_at - TimeDelta::days(90);
    let repeats = learning::repeats(conn, incident.incident_id, since).await?;
    let text = |texts: &serde_json::Value, name: &str| texts[name].as_str().map(str::to_owned);
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
        timeline: detail.timeline.iter().map(|e| (e.at, e.kind.clone(), e.text.clone())).collect(),
        alerts: detail
            .alerts
            .iter()
            .map(|alert| {
                let says = text(&alert.annotations, "description");
                (
                    text(&alert.labels, "alertname").unwrap_or_else(|| "unnamed".to_owned()),
                    says.or_else(|| text(&alert.annotations, "summary")).unwrap_or_default(),
                    text(&alert.annotations, "runbook_url"),
                )
            })
            .collect(),
        undone: detail
            .checklist
            .iter()
            .filter(|check| check.done_at.is_none())
            .map(|check| check.text.to_owned())
            .collect(),
        actions: detail
            .actions
            .iter()
            .map(|a| {
                let (text, who, due) = (a.text.clone(), a.assignee.clone(), a.due.to_string());
                (text, who, a.priority.clone(), due, a.done_at.is_some())
            })
            .collect(),
        repeats: usize::try_from(repeats).unwrap_or(0),
    })
}
