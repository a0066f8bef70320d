//! The locks of accounts among the writers of a process. A writer that reads what another one is about to
//! change would decide from an old balance: the database would refuse its whole batch.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::Command;

#[derive(Clone, Default)]
pub(super) struct AccountLocks {
    locked: Arc<Mutex<HashSet<Uuid>>>,
    unlocked: Arc<Notify>,
}

/// The locked accounts of one writer, until it is dropped.
pub(super) struct LockedAccounts {
    accounts: HashSet<Uuid>,
    locks: AccountLocks,
}

impl AccountLocks {
    /// Locks the accounts and members that these commands name. Returns `None` when another writer has one of
    /// them.
    pub(super) fn lock<'a>(
        &self,
        commands: impl Iterator<Item = &'a Command>,
    ) -> Option<LockedAccounts> {
        let named = |command: &Command| {
            let accounts: Vec<_> = command.accounts().map(|id| id.0).collect();
            accounts.into_iter().chain(command.member().map(|id| id.0))
        };
        let accounts: HashSet<_> = commands.flat_map(named).collect();
        let mut locked = self.locked();
        if !locked.is_disjoint(&accounts) {
            return None;
        }
        locked.extend(&accounts);
        drop(locked);
        Some(LockedAccounts { accounts, locks: self.clone() })
    }

    /// Waits until a writer unlocks its accounts. Only the writer whose turn it is to take commands waits.
    pub(super) async fn unlocked(&self) {
        self.unlocked.notified().await;
    }

    fn locked(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.locked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LockedAccounts {
    fn drop(&mut self) {
        self.locks.locked().retain(|account| !self.accounts.contains(account));
        self.locks.unlocked.notify_one(); // stored for the next to wait, if none waits now
    }
}
