//! How many commands of one account may wait at once.
//!
//! The queue is first come, first served, so nobody waits for more than what was there before them. What
//! remains unfair is a queue that is full of one account: everybody else would be refused.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use crate::domain::Command;

/// Who waits, and how often.
#[derive(Clone)]
pub(super) struct Shares {
    most: usize,
    waiting: Arc<Mutex<HashMap<Uuid, usize>>>,
}

/// A place in the queue, until it is dropped.
pub(super) struct Turn {
    whose: Option<Uuid>,
    shares: Shares,
}

impl Shares {
    pub(super) fn new(most: usize) -> Self {
        Self { most, waiting: Arc::default() }
    }

    /// None: too many commands wait for the account already. One that names a hold or a transfer, and not
    /// an account, counts for nobody.
    pub(super) fn enter(&self, command: &Command) -> Option<Turn> {
        let account = command.accounts().next().map(|id| id.0);
        let whose = account.or_else(|| command.member().map(|id| id.0));
        if let Some(whose) = whose {
            let mut waiting = self.waiting();
            let count = waiting.entry(whose).or_default();
            if *count >= self.most {
                return None;
            }
            *count += 1;
        }
        Some(Turn { whose, shares: self.clone() })
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, usize>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(whose) = self.whose else { return };
        let mut waiting = self.shares.waiting();
        if let Some(count) = waiting.get_mut(&whose) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&whose);
            }
        }
    }
}
