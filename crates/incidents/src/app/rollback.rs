use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use kit::idempotency::{self, Answer, Key};
use kit::{command, postgres};
use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{Error, Incidents, show};
use crate::domain::{Line, News, Next, Notice, Severity, Status, Step, inert};
use crate::executor::Executor;
use crate::store::story::Happened;
use crate::store::{incidents, rollbacks, story};

/// A run that says nothing for so long has lost its process: longer than any step may take.
const SILENCE: TimeDelta = TimeDelta::minutes(4);

/// A service taken back, or the attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RollbackView {
    pub run_id: Uuid,
    pub service: String,
    /// dry-run, command or kubernetes.
    pub executor: String,
    /// The version it goes back to, once that is known.
    pub target: Option<String>,
    /// Absent: the alert asked for it, by its label `rollback=automatic`.
    pub approved_by: Option<Uuid>,
    /// running, succeeded, failed or interrupted.
    pub status: String,
    pub attempts: i32,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    pub steps: Vec<StepView>,
}

/// A step of a run, as it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StepView {
    pub attempt: i32,
    /// validate, prepare, perform, verify or record.
    pub step: String,
    pub started_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Absent while it runs.
    pub ok: Option<bool>,
    pub detail: String,
}

/// A run that has begun.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) id: Uuid,
    pub(crate) incident: Uuid,
    pub(crate) number: String,
    pub(crate) service: String,
}

/// A run whose process is gone.
pub(crate) struct Lost {
    pub(crate) incident_id: Uuid,
    pub(crate) service: String,
}

impl Incidents {
    /// Takes a service back, because an operator has approved it. The answer's body is the incident,
    /// with the run that goes on from here by itself.
    pub async fn roll_back(
        &self,
        actor: Uuid,
        id: Uuid,
        key: Key,
        service: Line,
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
            incident.status.burning()?;
            let (number, service) = (incident.number.clone(), service.as_str().to_owned());
            let run = Run { id: incidents.clock.id(), incident: id, number, service };
            incidents.begin_rollback(&mut tx, &run, Some(actor), now).await?;
            let answer = Answer::json(StatusCode::OK, &show::detail(&mut tx, id, now).await?);
            idempotency::record(&mut tx, &principal, &key, &answer).await?;
            postgres::commit(tx).await?;
            command::detach(incidents.clone().drive(run));
            Ok(answer)
        })
        .await
    }

    /// Records that it begins; refused when there is no way to, or one runs already.
    pub(super) async fn begin_rollback(
        &self,
        tx: &mut PgConnection,
        run: &Run,
        approved_by: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let executor = self.policy.executor.as_ref().ok_or(Error::NoExecutor)?;
        if !self.can_roll_back(&run.service) {
            return Err(Error::NotToRollBack);
        }
        if rollbacks::is_running(tx, &run.service).await? {
            return Err(Error::RollbackRuns);
        }
        rollbacks::begin(tx, run, approved_by, executor.name(), now).await.map_err(taken)?;
        let who = if approved_by.is_some() { "approved" } else { "asked for by the alert" };
        let text = format!("Rollback of {} ({}), {who}", run.service, executor.name());
        let event = self.happened(run.incident, now, "rollback", text);
        Ok(story::tell(tx, &[Happened { actor: approved_by, ..event }], now).await?)
    }

    /// Not this one: it would end while it works.
    pub(super) fn can_roll_back(&self, service: &str) -> bool {
        self.policy.executor.is_some()
            && service != "incidents"
            && self.policy.services.iter().any(|known| known == service)
    }

    /// Goes through the steps, each recorded as it begins and as it ends.
    pub(super) async fn drive(self, run: Run) {
        let Some(executor) = self.policy.executor.clone() else { return };
        if let Err(error) = self.steps(&run, &executor).await {
            // It is given up on when it has been silent for long enough.
            tracing::error!(%error, run = %run.id, "a rollback could not be recorded");
        }
    }

    async fn steps(&self, run: &Run, executor: &Executor) -> Result<(), Error> {
        let mut next = Next::Step(1, Step::Validate);
        while let Next::Step(attempt, step) = next {
            if !self.step_begins(run, attempt, step).await? {
                return Ok(());
            }
            let said = executor.step(step, &run.service, &run.number).await;
            let ok = said.is_ok();
            let detail = inert(&said.unwrap_or_else(|why| why), 1_000);
            self.step_ended(run, attempt, step, ok, &detail).await?;
            next = step.next(attempt, ok);
        }
        self.rolled_back(run, next == Next::Succeeded).await
    }

    async fn step_begins(&self, run: &Run, attempt: i32, step: Step) -> Result<bool, Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let begins = rollbacks::step_begins(&mut tx, run.id, attempt, step.as_str(), now).await?;
        postgres::commit(tx).await?;
        Ok(begins)
    }

    async fn step_ended(
        &self,
        run: &Run,
        attempt: i32,
        step: Step,
        ok: bool,
        detail: &str,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let target = detail.lines().last().filter(|_| ok && step == Step::Validate);
        let mut tx = postgres::begin(&self.db).await?;
        let name = step.as_str();
        rollbacks::step_ends(&mut tx, run.id, attempt, name, ok, detail, target, now).await?;
        let how = if ok { "done" } else { "failed" };
        let text = format!("Rollback of {}, attempt {attempt}: {name} {how}", run.service);
        let text = if ok { text } else { format!("{text}. {detail}") };
        let event = self.happened(run.incident, now, "rollback", text);
        story::tell(&mut tx, &[event], now).await?;
        postgres::commit(tx).await?;
        Ok(())
    }

    /// The end of a run; people hear of it.
    async fn rolled_back(&self, run: &Run, well: bool) -> Result<(), Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let locked = incidents::lock(&mut tx, &[run.incident]).await?;
        let status = if well { "succeeded" } else { "failed" };
        if rollbacks::end(&mut tx, run.id, status, now).await? {
            self.tell_end(&mut tx, run.incident, &run.service, status, now).await?;
        }
        let watched = |s| matches!(s, Status::Investigating | Status::Identified);
        if well && locked.first().is_some_and(|incident| watched(incident.status)) {
            incidents::set_status(&mut tx, run.incident, Status::Monitoring, now).await?;
        }
        postgres::commit(tx).await?;
        Ok(())
    }

    /// Gives up runs whose process has ended in the middle. Returns how many there were.
    pub async fn give_up_rollbacks(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let lost = rollbacks::give_up(&mut tx, now - SILENCE, now).await?;
        for run in &lost {
            self.tell_end(&mut tx, run.incident_id, &run.service, "interrupted", now).await?;
        }
        postgres::commit(tx).await?;
        Ok(lost.len())
    }

    async fn tell_end(
        &self,
        tx: &mut PgConnection,
        incident: Uuid,
        service: &str,
        status: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let text = match status {
            "succeeded" => format!("{service} runs the version before again, and is healthy."),
            "failed" => format!("{service} could not be taken back: somebody must."),
            _ => format!("The rollback of {service} was interrupted: look at what runs now."),
        };
        let event = self.happened(incident, now, "rollback", format!("Rollback {status}. {text}"));
        story::tell(tx, &[event], now).await?;
        let Some(found) = incidents::find(tx, incident).await? else { return Ok(()) };
        let severity = found.severity.parse().unwrap_or(Severity::P0);
        let notice = Notice {
            news: News::Rollback,
            incident,
            number: found.number,
            severity: found.severity,
            title: format!("{status}: {}", found.title),
            service: service.to_owned(),
            text,
        };
        self.announce(tx, &self.policy.routes.of(severity), &notice, now).await
    }
}

/// Two who begin at the same moment: the database lets one.
fn taken(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("rollback_run_one_per_service") => Error::RollbackRuns,
        _ => error.into(),
    }
}
