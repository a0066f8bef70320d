//! Writes outlive their client, and a stop waits for what has begun.
//!
//! axum drops a handler when its client hangs up, and tonic when a deadline passes. A transaction
//! dropped half way is at best lost work; with sqlx 0.8.4 to 0.9.0 it can take *later, acknowledged*
//! writes with it (transact-rs/sqlx#4385). So every command runs in a task of its own.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use observability::context::in_context;
use tokio_util::task::TaskTracker;

use crate::deadline;

/// Everything that has begun and is not to be cut off, so that a shutdown can wait for it.
static RUNNING: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Runs a command to its end even when the caller goes away. Carries the request's context; a panic
/// inside continues in the caller, where the edge turns it into a 500.
pub async fn run<F>(command: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // A command's future is large, and each wrapper would move all of it.
    let command: Pin<Box<dyn Future<Output = F::Output> + Send>> = Box::pin(command);
    match RUNNING.spawn(deadline::carry(in_context(command))).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // Nobody aborts a command; a runtime that shuts down takes its tasks with it, and the
            // caller's turn is next.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Begins work that nobody waits for but a stop, such as carrying out what a command has decided.
pub fn detach(work: impl Future<Output = ()> + Send + 'static) {
    RUNNING.spawn(in_context(work));
}

/// Has a stop wait for work that is done in a task of the caller's own: one round of a loop as a rule, since
/// the loop itself goes on until the stop.
pub fn tracked<F: Future>(work: F) -> impl Future<Output = F::Output> {
    RUNNING.track_future(work)
}

/// Waits for what is running, for the end of a shutdown. False: something was not done in time.
pub async fn drain(deadline: Duration) -> bool {
    RUNNING.close();
    let done = tokio::time::timeout(deadline, RUNNING.wait()).await.is_ok();
    RUNNING.reopen();
    done
}
