use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Incidents, show};
use crate::domain::{Line, News, Notice, Severity, Stage as Reminder};
use crate::store::story::Happened;
use crate::store::{incidents, learning, story};

/// Something that shall keep it from happening again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct ActionItem {
    pub action_id: Uuid,
    pub incident_id: Uuid,
    #[schema(example = "INC-2026-0001")]
    pub number: String,
    pub text: String,
    /// high, medium or low.
    pub priority: String,
    pub assignee: String,
    pub due: NaiveDate,
    pub created_at: DateTime<Utc>,
    pub done_at: Option<DateTime<Utc>>,
}

/// How much an action matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    High,
    Medium,
    Low,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// An action to be.
#[derive(Clone, Debug)]
pub struct NewAction {
    pub text: Line,
    pub priority: Priority,
    pub assignee: Line,
    pub due: NaiveDate,
}

/// What is done about actions.
#[derive(Clone, Debug)]
pub enum FollowUp {
    Add(NewAction),
    Finish(Uuid),
}

/// An action that is open and due within a week, or was.
pub(crate) struct Due {
    pub(crate) action_id: Uuid,
    pub(crate) incident_id: Uuid,
    pub(crate) number: String,
    pub(crate) severity: String,
    pub(crate) service: String,
    pub(crate) text: String,
    pub(crate) assignee: String,
    pub(crate) due: NaiveDate,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) reminded: Vec<String>,
}

impl Incidents {
    /// Actions, those due first: of one incident or of all, the open ones or all.
    pub async fn actions(
        &self,
        incident: Option<Uuid>,
        open_only: bool,
    ) -> Result<Vec<ActionItem>, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        Ok(learning::actions(&mut conn, incident, open_only).await?)
    }

    /// Does it once for each key. The answer's body is the incident after it.
    pub async fn follow_up(
        &self,
        actor: Uuid,
        id: Uuid,
        key: Key,
        what: FollowUp,
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
            locked.first().ok_or(Error::NotFound)?;
            let words = match what {
                FollowUp::Add(new) => {
                    let action = incidents.clock.id();
                    learning::add_action(&mut tx, action, id, &new, actor, now).await?;
                    let (text, who) = (new.text.as_str(), new.assignee.as_str());
                    Some(format!("{who} shall, by {}: {text}", new.due))
                }
                FollowUp::Finish(action) => {
                    let found = learning::finish_action(&mut tx, id, action, actor, now).await?;
                    let (text, is_new) = found.ok_or(Error::NotFound)?;
                    is_new.then(|| format!("Done: {text}"))
                }
            };
            if let Some(words) = words {
                let event = incidents.happened(id, now, "action", words);
                let event = Happened { actor: Some(actor), ..event };
                story::tell(&mut tx, &[event], now).await?;
            }
            let answer = Answer::json(StatusCode::OK, &show::detail(&mut tx, id, now).await?);
            idempotency::record(&mut tx, &principal, &key, &answer).await?;
            postgres::commit(tx).await?;
            Ok(answer)
        })
        .await
    }

    /// Reminds of actions 7, 3 and 0 days before they are due, and when they are overdue: each once,
    /// however often this runs or restarts. Returns how many.
    pub async fn remind_of_actions(&self) -> Result<usize, Error> {
        let incidents = self.clone();
        command::run(async move {
            let now = incidents.clock.now();
            let today = now.date_naive();
            let mut tx = postgres::begin(&incidents.db).await?;
            let mut reminded = 0;
            for due in learning::due(&mut tx, today + TimeDelta::days(7)).await? {
                let stage = Reminder::on(today, due.due, due.created_at.date_naive());
                let Some(stage) = stage.filter(|s| !due.reminded.iter().any(|r| r == s.as_str()))
                else {
                    continue;
                };
                // Overdue is louder.
                let severity = if stage == Reminder::Overdue { Severity::P1 } else { Severity::P2 };
                let channels = incidents.policy.routes.of(severity);
                incidents.announce(&mut tx, &channels, &due.notice(stage), now).await?;
                learning::reminded(&mut tx, due.action_id, stage.as_str(), now).await?;
                reminded += 1;
            }
            postgres::commit(tx).await?;
            Ok(reminded)
        })
        .await
    }
}

impl Due {
    fn notice(&self, stage: Reminder) -> Notice {
        Notice {
            news: News::Action,
            incident: self.incident_id,
            number: self.number.clone(),
            severity: self.severity.clone(),
            title: self.text.clone(),
            service: self.service.clone(),
            text: format!("{}: {}, by {}.", stage.words(), self.assignee, self.due),
        }
    }
}
