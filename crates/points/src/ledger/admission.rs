//! The share of the queue that one account may fill.
//!
//! The queue is first come, first served, so no command waits for later ones. One unfairness remains: a queue
//! that is full of one account's commands refuses everybody else's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::domain::Command;

/// Counts the waiting commands of each account.
#[derive(Clone)]
pub(super) struct Admission {
    per_account: usize,
    waiting: Arc<Mutex<HashMap<Uuid, usize>>>,
}

/// A place in the queue, until it is dropped.
pub(super) struct Permit {
    account: Option<Uuid>,
    admission: Admission,
}

impl Admission {
    pub(super) fn new(per_account: usize) -> Self {
        Self { per_account, waiting: Arc::default() }
    }

    /// Returns `None` when too many commands wait for the account. A command that names a hold or a transfer, and
    /// no account, is not counted.
    pub(super) fn admit(&self, command: &Command) -> Option<Permit> {
        let account = command.accounts().next().map(|id| id.0);
        let account = account.or_else(|| command.member().map(|id| id.0));
        if let Some(account) = account {
            let mut waiting = self.waiting();
            let count = waiting.entry(account).or_default();
            if *count >= self.per_account {
                return None;
            }
            *count += 1;
        }
        Some(Permit { account, admission: self.clone() })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(account) = self.account else { return };
        let mut waiting = self.admission.waiting();
        if let Some(count) = waiting.get_mut(&account) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&account);
            }
        }
    }
}
