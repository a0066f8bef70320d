//! Accounts that somebody else keeps locked. A batch waits for such a lock once; for a moment after that,
//! commands about the account are refused at once, so that their neighbors need not wait again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::AccountId;

/// How long an account counts as locked since it last was. The price: whoever locks it only briefly in that time
/// makes a command fail that would have waited.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Shared by the writers of a process.
#[derive(Clone, Default)]
pub(super) struct Stuck(Arc<Mutex<HashMap<Uuid, Instant>>>);

impl Stuck {
    pub(super) fn contains_any(&self, mut accounts: impl Iterator<Item = AccountId>) -> bool {
        let stuck = self.recent();
        !stuck.is_empty() && accounts.any(|id| stuck.contains_key(&id.0))
    }

    /// Those of these accounts that are not stuck, and those that are.
    pub(super) fn split(&self, accounts: Vec<Uuid>) -> (Vec<Uuid>, Vec<Uuid>) {
        let stuck = self.recent();
        accounts.into_iter().partition(|id| !stuck.contains_key(id))
    }

    /// Remembers an account that is locked by somebody else.
    pub(super) fn add(&self, account: AccountId) {
        self.recent().insert(account.0, Instant::now());
    }

    /// Forgets those that were locked by us.
    pub(super) fn remove<'a>(&self, accounts: impl Iterator<Item = &'a Uuid>) {
        let mut stuck = self.recent();
        for id in accounts {
            stuck.remove(id);
        }
    }

    fn recent(&self) -> MutexGuard<'_, HashMap<Uuid, Instant>> {
        let mut stuck = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.retain(|_, since| since.elapsed() < REMEMBERED);
        stuck
    }
}
