use chrono::TimeDelta;
use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use kit::postgres;
use uuid::Uuid;

use super::{Error, Incidents, show};
use crate::domain::{Entry, EventKind, NewAction, News, Notice, Reminder, Severity};
use crate::store::actions::{self, Due};
use crate::store::incidents;
use crate::view::{ActionItem, Actions, IncidentDetail};

/// A change of an incident's actions.
#[derive(Clone, Debug)]
pub enum FollowUp {
    Add(NewAction),
    Finish(Uuid),
}

impl Incidents {
    /// Lists actions by due date.
    pub async fn actions(&self, which: Actions) -> Result<Vec<ActionItem>, Error> {
        let mut conn = postgres::query("acquire", self.db.acquire()).await?;
        Ok(actions::list(&mut conn, which).await?)
    }

    /// Adds or finishes an action, once for each key.
    pub async fn follow_up(
        &self,
        by: Uuid,
        id: Uuid,
        key: Key,
        change: FollowUp,
    ) -> Result<Answer<IncidentDetail>, Error> {
        let mut work = match command::begin(&self.db, by, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let now = self.clock.now();
        incidents::lock(&mut work, id).await?.ok_or(Error::UnknownIncident)?;
        let text = match change {
            FollowUp::Add(new) => {
                actions::add(&mut work, self.clock.id(), id, &new, by, now).await?;
                let (text, assignee) = (new.text.as_str(), new.assignee.as_str());
                Some(format!("Assigned to {assignee}, due {}: {text}", new.due))
            }
            FollowUp::Finish(action) => {
                let found = actions::finish(&mut work, id, action, by, now).await?;
                let (text, is_new) = found.ok_or(Error::UnknownAction)?;
                is_new.then(|| format!("Done: {text}"))
            }
        };
        if let Some(text) = text {
            let entry = Entry::by_system(id, now, EventKind::Action, text);
            self.record(&mut work, &[Entry { actor: Some(by), ..entry }], now).await?;
        }
        let detail = show::detail(&mut work, id, now).await?;
        Ok(work.commit(Success::Ok, detail).await?)
    }

    /// Reminds of actions 7, 3 and 0 days before they are due, and when they are overdue; each once, even after a
    /// restart. Returns the number of reminders.
    pub async fn remind_of_actions(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let today = now.date_naive();
        let mut tx = postgres::begin(&self.db).await?;
        let mut reminded = 0;
        for due in actions::due(&mut tx, today + TimeDelta::days(7)).await? {
            let reminder = Reminder::on(today, due.due, due.created_at.date_naive());
            let Some(reminder) = reminder.filter(|r| !due.reminded.iter().any(|s| s == r.as_str()))
            else {
                continue;
            };
            let severity = if reminder == Reminder::Overdue { Severity::P1 } else { Severity::P2 };
            let channels = self.policy.routes.of(severity);
            self.announce(&mut tx, &channels, &notice(&due, reminder), now).await?;
            actions::reminded(&mut tx, due.action_id, reminder.as_str(), now).await?;
            reminded += 1;
        }
        postgres::commit(tx).await?;
        Ok(reminded)
    }
}

fn notice(due: &Due, reminder: Reminder) -> Notice {
    Notice {
        news: News::Action,
        incident: due.incident_id,
        number: due.number.clone(),
        severity: due.severity,
        title: due.text.clone(),
        service: due.service.clone(),
        text: format!("{}: {}, by {}.", reminder.words(), due.assignee, due.due),
    }
}
