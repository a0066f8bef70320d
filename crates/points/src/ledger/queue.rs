//! The queue of commands that wait for a writer.

use std::sync::Arc;

use tokio::sync::mpsc::{self, Receiver};
use tokio::sync::{Mutex, oneshot};

use super::admission::{Admission, Permit};
use super::submission::{Reply, Submission};
use crate::error::Error;

/// The most commands that may wait: some 100 ms of work. A command that comes later is better refused at once.
const CAPACITY: usize = 1_024;

/// The most waiting commands of one account, so that a flooded account leaves room for all others.
const PER_ACCOUNT: usize = CAPACITY / 2;

/// The sender's end.
#[derive(Clone)]
pub(super) struct Queue {
    sender: mpsc::Sender<Job>,
    admission: Admission,
}

/// The writers' end.
pub(super) type Waiting = Arc<Mutex<Receiver<Job>>>;

/// A command that waits.
pub(super) struct Job {
    pub(super) submission: Submission,
    pub(super) reply: oneshot::Sender<Reply>,
    /// Returned when a writer takes the command.
    _permit: Permit,
}

impl Queue {
    pub(super) fn new() -> (Self, Waiting) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        let queue = Self { sender, admission: Admission::new(PER_ACCOUNT) };
        (queue, Arc::new(Mutex::new(receiver)))
    }

    pub(super) async fn submit(&self, submission: Submission) -> Reply {
        let permit = self.admission.admit(&submission.command).ok_or(Error::Overloaded)?;
        let (reply, replied) = oneshot::channel();
        let job = Job { submission, reply, _permit: permit };
        self.sender.try_send(job).map_err(|_| Error::Overloaded)?;
        replied.await.map_err(|_| Error::Panicked)?
    }
}
