//! Background jobs. Periodic jobs run on one replica at a time, endless jobs on every replica. Panics are
//! caught and counted.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use observability::metrics::{self, IntCounterVec};
use observability::{Carrier, SpanKind, panics, task};
use sqlx::PgPool;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::postgres::{Candidate, Leader};
use crate::{command, idempotency, inbox, outbox};

/// Time between two attempts of a replica to lead.
const ELECTION_PERIOD: Duration = Duration::from_secs(2);

/// Period of deleting expired rows.
const HOUSEKEEPING_PERIOD: Duration = Duration::from_secs(10 * 60);

static RUNS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "job_runs_total",
        "Runs of scheduled jobs: ok, error or panic.",
        &["job", "result"],
    )
});

/// The jobs of a service. Each starts when it is declared.
#[derive(Debug)]
pub struct Jobs {
    db: PgPool,
    stop: CancellationToken,
}

impl Jobs {
    /// Creates the jobs of a service, with leaders elected in `db`, until `stop`. Includes housekeeping of
    /// kit's tables.
    pub fn new(db: PgPool, stop: CancellationToken) -> Self {
        tokio::spawn(housekeeping(db.clone(), stop.clone()));
        Self { db, stop }
    }

    /// Runs `job` every `period` on one replica. A stop waits for the current run. If the leader loses its
    /// connection during a run, another replica may start one concurrently, so a job must tolerate that.
    pub fn every<S, F, Fut, E>(&mut self, name: &'static str, period: Duration, service: &S, job: F)
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error>,
    {
        let service = service.clone();
        let job = Arc::new(job);
        let run = move || {
            let (job, service) = (job.clone(), service.clone());
            async move { job(service).await.map_err(Into::into) }
        };
        tokio::spawn(every(name, period, self.db.clone(), self.stop.clone(), run));
    }

    /// Runs `job` on every replica until its `stop`, and restarts it after an error or a panic.
    pub fn always<S, F, Fut>(&mut self, name: &'static str, service: &S, job: F)
    where
        S: Clone + Send + Sync + 'static,
        F: Fn(S, CancellationToken) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let (service, stop) = (service.clone(), self.stop.clone());
        let run = move || job(service.clone(), stop.clone());
        tokio::spawn(task::supervise(name, self.stop.clone(), run));
    }
}

/// Runs `job` every `period` on the replica that holds the lock of `name`, until `stop`. A stop waits for the
/// current run. If the leader loses its connection during a run, another replica may start one concurrently,
/// so a job must tolerate that.
pub async fn every<F, Fut>(
    name: &'static str,
    period: Duration,
    db: PgPool,
    stop: CancellationToken,
    job: F,
) where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    panics::declare(name);
    for result in ["ok", "error", "panic"] {
        RUNS.with_label_values(&[name, result]);
    }
    let candidate = Candidate::new(&db, &["job", name]);
    while !stop.is_cancelled() {
        match candidate.elect().await {
            Ok(Some(leader)) => lead(leader, name, period, &stop, &job).await,
            Ok(None) => {}
            Err(error) => tracing::warn!(job = name, %error, "no leader election"),
        }
        let _ = stop.run_until_cancelled(sleep(ELECTION_PERIOD)).await;
    }
}

/// Deletes expired rows: idempotency keys, delivered events, inbox records.
pub async fn housekeeping(db: PgPool, stop: CancellationToken) {
    let pool = db.clone();
    every("housekeeping", HOUSEKEEPING_PERIOD, db, stop, move || {
        let db = pool.clone();
        async move {
            let keys = idempotency::sweep(&db).await?;
            let events = outbox::prune(&db).await?;
            let messages = inbox::prune(&db).await?;
            tracing::info!(keys, events, messages, "housekeeping done");
            Ok(())
        }
    })
    .await;
}

async fn lead<F, Fut>(
    leader: Leader,
    name: &'static str,
    period: Duration,
    stop: &CancellationToken,
    job: &F,
) where
    F: Fn() -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    while !stop.is_cancelled() {
        if let Err(error) = leader.confirm().await {
            tracing::warn!(job = name, %error, "leadership lost");
            return;
        }
        let next = Instant::now() + period;
        command::tracked(run(name, job)).await;
        let _ = stop.run_until_cancelled(sleep_until(next)).await;
    }
    leader.resign().await;
}

async fn run<F, Fut>(name: &'static str, job: &F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    // `async` first, so that a panic before the job's first await is caught as well.
    let run = panics::catch(name, async { job().await });
    let result = match Carrier::default().scope(name, SpanKind::Internal, run).await {
        Ok(Ok(())) => "ok",
        Ok(Err(error)) => {
            tracing::error!(job = name, error = format!("{error:#}"), "job failed");
            "error"
        }
        Err(_) => "panic", // logged by the panic hook
    };
    RUNS.with_label_values(&[name, result]).inc();
}
