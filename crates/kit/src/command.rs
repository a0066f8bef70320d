//! A command: a request that changes something, carried out once, even if its client leaves or repeats it.
//!
//! A use case begins a unit of work with the client's idempotency key, decides, and commits the effect
//! together with the answer:
//!
//! ```ignore
//! pub async fn cancel(&self, by: Actor, key: Key, booking: Uuid) -> Result<Answer<Booking>, Error> {
//!     let mut work = match command::begin(&self.db, by.id(), &key).await? {
//!         Begun::First(work) => work,
//!         Begun::Replay(answer) => return Ok(answer),
//!     };
//!     let booking = store::lock_booking(&mut work, booking, by).await?.ok_or(Error::UnknownBooking)?;
//!     // … decide, and store the effect …
//!     Ok(work.commit(Success::Ok, booking).await?)
//! }
//! ```
//!
//! A dropped [`Work`] rolls back, and the only way to commit it records the answer. So a key cannot be
//! claimed too late, and no answer is forgotten.
//!
//! Writes outlive their client. axum drops a handler when its client hangs up, and tonic when a deadline
//! passes. A transaction dropped half way is at best lost work; with sqlx 0.8.4 to 0.9.0 it can take *later,
//! acknowledged* writes with it (transact-rs/sqlx#4385). So [`crate::http::edge`] and [`crate::grpc::guard`]
//! run every write in a task of its own, and a stop waits for it.

use std::fmt::Display;
use std::ops::{Deref, DerefMut};
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::LazyLock;
use std::time::Duration;

use axum::extract::Request;
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use observability::context::in_context;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio_util::task::TaskTracker;

pub use crate::idempotency::Success;
use crate::idempotency::{self, Error, Key};
use crate::{deadline, postgres};

/// The beginning of a command.
#[derive(Debug)]
pub enum Begun<T> {
    /// The key is new; the caller must carry out the command.
    First(Work),
    /// The key was used for the same request. This is the first answer.
    Replay(Answer<T>),
}

/// A transaction that holds an idempotency key. It rolls back when dropped.
#[derive(Debug)]
pub struct Work {
    tx: Transaction<'static, Postgres>,
    principal: String,
    key: Key,
}

/// The recorded answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<T> {
    success: Success,
    body: Vec<u8>,
    /// `None` when the answer is a replay.
    value: Option<T>,
}

/// Begins a transaction and claims `key` in it for `principal`, or returns the first answer. Waits up to 2 s for
/// a concurrent command with the same key.
///
/// # Errors
/// [`Error::Reused`] when the key belongs to another request, [`Error::InProgress`] when the first one is still
/// running.
pub async fn begin<T: DeserializeOwned>(
    db: &PgPool,
    principal: impl Display,
    key: &Key,
) -> Result<Begun<T>, Error> {
    let principal = principal.to_string();
    let mut tx = postgres::begin(db).await?;
    if let Some((success, body)) = idempotency::claim(&mut tx, &principal, key).await? {
        return Ok(Begun::Replay(Answer { success, body, value: None }));
    }
    Ok(Begun::First(Work { tx, principal, key: key.clone() }))
}

impl Work {
    /// Records `value` as the answer and commits it with the effect.
    ///
    /// # Panics
    /// Panics when `value` cannot be JSON, such as a map whose keys are not strings.
    pub async fn commit<T: Serialize>(
        mut self,
        success: Success,
        value: T,
    ) -> Result<Answer<T>, Error> {
        let answer = Answer::recorded(success, value);
        idempotency::record(&mut self.tx, &self.principal, &self.key, success, &answer.body)
            .await?;
        postgres::commit(self.tx).await?;
        Ok(answer)
    }
}

impl Deref for Work {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.tx
    }
}

impl DerefMut for Work {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.tx
    }
}

impl<T: Serialize> Answer<T> {
    /// Creates the first answer of a command whose own statement writes the key's row. All other commands use
    /// [`Work::commit`].
    ///
    /// # Panics
    /// Panics when `value` cannot be JSON, such as a map whose keys are not strings.
    pub fn recorded(success: Success, value: T) -> Self {
        let body = serde_json::to_vec(&value).expect("an answer is plain data");
        Self { success, body, value: Some(value) }
    }
}

impl<T> Answer<T> {
    /// Creates an answer from its record.
    pub fn replay(success: Success, body: Vec<u8>) -> Self {
        Self { success, body, value: None }
    }

    pub fn success(&self) -> Success {
        self.success
    }

    /// Returns the recorded JSON.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// Returns true when the command was carried out earlier, and this is its first answer.
    pub fn is_replay(&self) -> bool {
        self.value.is_none()
    }
}

impl<T: DeserializeOwned> Answer<T> {
    /// Returns the answer's value, for gRPC.
    ///
    /// # Errors
    /// Fails when another release recorded an answer that this one cannot read.
    pub fn into_value(self) -> Result<T, Error> {
        match self.value {
            Some(value) => Ok(value),
            None => serde_json::from_slice(&self.body).map_err(Error::Unreadable),
        }
    }

    /// Like [`Answer::into_value`], for an answer that is still needed.
    pub fn value(&self) -> Result<T, Error>
    where
        T: Clone,
    {
        match &self.value {
            Some(value) => Ok(value.clone()),
            None => serde_json::from_slice(&self.body).map_err(Error::Unreadable),
        }
    }
}

/// Finishes the handler of a write even if its client leaves. A layer of [`crate::http::edge`].
pub(crate) async fn outlive(request: Request, next: Next) -> Response {
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => next.run(request).await,
        _ => run(next.run(request)).await,
    }
}

/// The tasks that a stop must wait for.
static RUNNING: LazyLock<TaskTracker> = LazyLock::new(TaskTracker::new);

/// Finishes a command even if the caller is canceled. Keeps the request's context. A panic continues in the
/// caller, where the edge turns it into a 500.
pub async fn run<F>(command: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    // Boxed: a command's future is large, and each wrapper would move all of it.
    let command: Pin<Box<dyn Future<Output = F::Output> + Send>> = Box::pin(command);
    match RUNNING.spawn(deadline::carry(in_context(command))).await {
        Ok(output) => output,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // Nothing aborts a command. A runtime that shuts down drops its tasks, and will drop the caller
            // next.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Starts work in the background, for which a stop waits, such as carrying out a decision.
pub fn detach(work: impl Future<Output = ()> + Send + 'static) {
    RUNNING.spawn(in_context(work));
}

/// Makes a stop wait for work in the caller's own task. Usually one round of a loop, which itself ends at the
/// stop.
pub fn tracked<F: Future>(work: F) -> impl Future<Output = F::Output> {
    RUNNING.track_future(work)
}

/// Waits for all running work, at the end of a stop. Returns false when the time was not enough.
pub async fn drain(deadline: Duration) -> bool {
    RUNNING.close();
    let done = tokio::time::timeout(deadline, RUNNING.wait()).await.is_ok();
    RUNNING.reopen();
    done
}
