//! Accounts that another replica keeps locked. A batch waits for such a lock once. For a moment after that,
//! commands about the account are refused at once, so that their neighbors need not wait again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::domain::AccountId;

/// The time that an account counts as busy after it was found locked. The price: if the lock is short, commands
/// are refused that would only have waited.
const REMEMBERED: Duration = Duration::from_secs(1);

/// Shared by the writers of a process.
#[derive(Clone, Default)]
pub(super) struct BusyAccounts(Arc<Mutex<HashMap<Uuid, Instant>>>);

impl BusyAccounts {
    pub(super) fn contains_any(&self, mut accounts: impl Iterator<Item = AccountId>) -> bool {
        let busy = self.recent();
        !busy.is_empty() && accounts.any(|id| busy.contains_key(&id.0))
    }

    /// Splits these accounts into those that are not busy, and those that are.
    pub(super) fn split(&self, accounts: Vec<Uuid>) -> (Vec<Uuid>, Vec<Uuid>) {
        let busy = self.recent();
        accounts.into_iter().partition(|id| !busy.contains_key(id))
    }

    pub(super) fn add(&self, account: AccountId) {
        self.recent().insert(account.0, Instant::now());
    }

    pub(super) fn remove<'a>(&self, accounts: impl Iterator<Item = &'a Uuid>) {
        let mut busy = self.recent();
        for id in accounts {
            busy.remove(id);
        }
    }

    fn recent(&self) -> MutexGuard<'_, HashMap<Uuid, Instant>> {
        let mut busy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        busy.retain(|_, since| since.elapsed() < REMEMBERED);
        busy
    }
}
