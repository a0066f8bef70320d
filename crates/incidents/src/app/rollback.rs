use chrono::{DateTime, TimeDelta, Utc};
use kit::command::{self, Answer, Begun, Success};
use kit::idempotency::Key;
use kit::postgres;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, Incidents, show};
use crate::domain::{
    Entry, EventKind, NewIncident, News, Next, Notice, Run, RunStatus, ShortText, Status, Step,
    inert,
};
use crate::executor::Executor;
use crate::store::incidents;
use crate::store::rollbacks::{self, StepEnd};
use crate::view::IncidentDetail;

/// The silence after which a run counts as interrupted: longer than any step may take.
const SILENCE: TimeDelta = TimeDelta::minutes(4);

impl Incidents {
    /// Begins a rollback that an operator has approved. It goes on in the background.
    pub async fn roll_back(
        &self,
        by: Uuid,
        id: Uuid,
        key: Key,
        service: ShortText,
    ) -> Result<Answer<IncidentDetail>, Error> {
        let mut work = match command::begin(&self.db, by, &key).await? {
            Begun::First(work) => work,
            Begun::Replay(answer) => return Ok(answer),
        };
        let now = self.clock.now();
        let incident = incidents::lock(&mut work, id).await?.ok_or(Error::UnknownIncident)?;
        incident.status.require_open()?;
        let (number, service) = (incident.number, service.as_str().to_owned());
        let run = Run { id: self.clock.id(), incident: id, number, service };
        self.begin_rollback(&mut work, &run, Some(by), now).await?;
        let detail = show::detail(&mut work, id, now).await?;
        let answer = work.commit(Success::Ok, detail).await?;
        self.run_in_background(vec![run]);
        Ok(answer)
    }

    /// Begins the rollbacks that the alerts of opened incidents ask for. A refused one is logged and changes nothing
    /// else.
    pub(super) async fn begin_requested_rollbacks(
        &self,
        tx: &mut PgConnection,
        opened: &[NewIncident],
        now: DateTime<Utc>,
    ) -> Result<Vec<Run>, Error> {
        let mut runs = Vec::new();
        if !self.policy.automatic_rollback {
            return Ok(runs);
        }
        for new in opened.iter().filter(|new| new.asks_for_rollback) {
            let (number, service) = (new.number.to_string(), new.service.clone());
            let run = Run { id: self.clock.id(), incident: new.id, number, service };
            match self.begin_rollback(tx, &run, None, now).await {
                Ok(()) => runs.push(run),
                Err(error @ Error::Database(_)) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, service = run.service, "no automatic rollback");
                }
            }
        }
        Ok(runs)
    }

    /// Records the begin of a rollback. Fails when it is not possible, or another one of the service runs.
    async fn begin_rollback(
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
        let entry = Entry::by_system(run.incident, now, EventKind::Rollback, text);
        Ok(self.record(tx, &[Entry { actor: approved_by, ..entry }], now).await?)
    }

    /// True for the services of the status page, except this one: it would end during the rollback.
    pub(super) fn can_roll_back(&self, service: &str) -> bool {
        self.policy.executor.is_some()
            && service != "incidents"
            && self.policy.services.iter().any(|known| known == service)
    }

    /// Carries out rollbacks whose begin is committed.
    pub(super) fn run_in_background(&self, runs: Vec<Run>) {
        for run in runs {
            command::detach(self.clone().drive(run));
        }
    }

    async fn drive(self, run: Run) {
        let Some(executor) = self.policy.executor.clone() else { return };
        if let Err(error) = self.steps(&run, &executor).await {
            // It is given up after its silence.
            tracing::error!(%error, run = %run.id, "a rollback could not be recorded");
        }
    }

    /// Goes through the steps, and records each as it begins and as it ends.
    async fn steps(&self, run: &Run, executor: &Executor) -> Result<(), Error> {
        let mut next = Next::Step(1, Step::Validate);
        while let Next::Step(attempt, step) = next {
            if !self.step_begins(run, attempt, step).await? {
                return Ok(());
            }
            let output = executor.step(step, &run.service, &run.number).await;
            let ok = output.is_ok();
            let detail = inert(&output.unwrap_or_else(|error| error), 1_000);
            let target = detail.lines().last().filter(|_| ok && step == Step::Validate);
            let end = StepEnd { attempt, step, ok, detail: &detail, target };
            self.step_ends(run, &end).await?;
            next = step.next(attempt, ok);
        }
        let status = if next == Next::Succeeded { RunStatus::Succeeded } else { RunStatus::Failed };
        self.end_rollback(run, status).await
    }

    async fn step_begins(&self, run: &Run, attempt: i32, step: Step) -> Result<bool, Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let begins = rollbacks::step_begins(&mut tx, run.id, attempt, step, now).await?;
        postgres::commit(tx).await?;
        Ok(begins)
    }

    async fn step_ends(&self, run: &Run, end: &StepEnd<'_>) -> Result<(), Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        rollbacks::step_ends(&mut tx, run.id, end, now).await?;
        let StepEnd { attempt, step, ok, detail, .. } = end;
        let how = if *ok { "done".to_owned() } else { format!("failed. {detail}") };
        let text =
            format!("Rollback of {}, attempt {attempt}: {} {how}", run.service, step.as_str());
        let entry = Entry::by_system(run.incident, now, EventKind::Rollback, text);
        self.record(&mut tx, &[entry], now).await?;
        postgres::commit(tx).await?;
        Ok(())
    }

    async fn end_rollback(&self, run: &Run, status: RunStatus) -> Result<(), Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let incident = incidents::lock(&mut tx, run.incident).await?;
        if rollbacks::end(&mut tx, run.id, status, now).await? {
            self.announce_end(&mut tx, run.incident, &run.service, status, now).await?;
        }
        let before = |s| matches!(s, Status::Investigating | Status::Identified);
        if status == RunStatus::Succeeded && incident.is_some_and(|i| before(i.status)) {
            incidents::set_status(&mut tx, run.incident, Status::Monitoring, now).await?;
        }
        postgres::commit(tx).await?;
        Ok(())
    }

    /// Gives up runs whose process has ended in the middle. Returns their number.
    pub async fn give_up_rollbacks(&self) -> Result<usize, Error> {
        let now = self.clock.now();
        let mut tx = postgres::begin(&self.db).await?;
        let lost = rollbacks::give_up(&mut tx, now - SILENCE, now).await?;
        for run in &lost {
            let status = RunStatus::Interrupted;
            self.announce_end(&mut tx, run.incident_id, &run.service, status, now).await?;
        }
        postgres::commit(tx).await?;
        Ok(lost.len())
    }

    async fn announce_end(
        &self,
        tx: &mut PgConnection,
        incident: Uuid,
        service: &str,
        status: RunStatus,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let text = match status {
            RunStatus::Succeeded => format!("{service} runs its previous version and is healthy."),
            RunStatus::Failed => {
                format!("{service} could not be rolled back: it must be done by hand.")
            }
            RunStatus::Running | RunStatus::Interrupted => {
                format!("The rollback of {service} was interrupted: check the running version.")
            }
        };
        let status = status.as_str();
        let entry = format!("Rollback {status}. {text}");
        let entry = Entry::by_system(incident, now, EventKind::Rollback, entry);
        self.record(tx, &[entry], now).await?;
        let Some(found) = incidents::find(tx, incident).await? else { return Ok(()) };
        let notice = Notice {
            news: News::Rollback,
            incident,
            number: found.number,
            severity: found.severity,
            title: format!("{status}: {}", found.title),
            service: service.to_owned(),
            text,
        };
        self.announce(tx, &self.policy.routes.of(found.severity), &notice, now).await
    }
}

/// Translates the constraint that lets one of two simultaneous rollbacks begin.
fn taken(error: sqlx::Error) -> Error {
    match postgres::constraint(&error) {
        Some("rollback_run_one_per_service") => Error::RollbackRuns,
        _ => error.into(),
    }
}
