//! Which accounts the writers have in hand. None reads what another one is about to change: the database
//! would refuse what it decides from it, and all of the batch would have to be done again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

use crate::domain::Command;

/// Shared by the writers of a process.
#[derive(Clone, Default)]
pub(super) struct Hands {
    full: Arc<Mutex<HashSet<Uuid>>>,
    freed: Arc<Notify>,
}

/// Accounts that one writer has, until it is dropped.
pub(super) struct InHand {
    accounts: HashSet<Uuid>,
    hands: Hands,
}

impl Hands {
    /// `None`: another writer has one of the accounts.
    pub(super) fn take<'a>(&self, commands: impl Iterator<Item = &'a Command>) -> Option<InHand> {
        let of = |command: &Command| {
            let accounts: Vec<_> = command.accounts().map(|id| id.0).collect();
            accounts.into_iter().chain(command.member().map(|id| id.0))
        };
        let accounts: HashSet<_> = commands.flat_map(of).collect();
        let mut full = self.full();
        if !full.is_disjoint(&accounts) {
            return None;
        }
        full.extend(&accounts);
        drop(full);
        Some(InHand { accounts, hands: self.clone() })
    }

    /// Waits until a writer is done. One waits at a time: whose turn it is to take commands.
    pub(super) async fn freed(&self) {
        self.freed.notified().await;
    }

    fn full(&self) -> MutexGuard<'_, HashSet<Uuid>> {
        self.full.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        self.hands.full().retain(|account| !self.accounts.contains(account));
        self.hands.freed.notify_one(); // kept for who waits next, if nobody does
    }
}
