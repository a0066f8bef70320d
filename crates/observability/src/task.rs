//! Supervision of background tasks.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use prometheus::IntCounterVec;
use tokio_util::sync::CancellationToken;

use crate::{metrics, panics};

/// Run time after which a failure counts as the first one.
const SOUND: Duration = Duration::from_secs(60);

static RESTARTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    metrics::counter_vec(
        "task_restarts_total",
        "Background tasks restarted after an error or a panic.",
        &["task"],
    )
});

/// Runs a background task until `stop`, and restarts it after an error or a panic, with jittered pauses that
/// grow from 0.1 s to 30 s. `Ok(())` means that the work is done. The work itself must heed `stop`.
pub async fn supervise<F, Fut>(name: &'static str, stop: CancellationToken, mut factory: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = anyhow::Result<()>>,
{
    panics::declare(name);
    let restarts = RESTARTS.with_label_values(&[name]);
    let mut pauses = pauses();
    while !stop.is_cancelled() {
        let started = Instant::now();
        // Inside the future, because a factory may panic too.
        let outcome = panics::catch(name, async { factory().await }).await;
        match outcome {
            Ok(Ok(())) => return,
            Ok(Err(error)) => {
                tracing::error!(task = name, error = format!("{error:#}"), "task failed")
            }
            Err(_) => tracing::warn!(task = name, "task panicked"),
        }
        if started.elapsed() > SOUND {
            pauses = self::pauses();
        }
        let pause = pauses.next().unwrap_or(Duration::from_secs(30));
        let stopped = stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none();
        if stopped {
            return;
        }
        restarts.inc();
        tracing::info!(task = name, pause_ms = pause.as_millis(), "task restarts");
    }
}

fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(30))
        .with_jitter()
        .without_max_times()
        .build()
}
