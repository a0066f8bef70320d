//! Sessions that have ended while their tokens are still valid.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use tokio::time::Instant;
use uuid::Uuid;

use crate::revocation::REMEMBERED;

/// Ended sessions, with the time until which they are remembered.
#[derive(Default)]
pub(super) struct Revoked(RwLock<HashMap<Uuid, Instant>>);

impl Revoked {
    pub(super) fn add(&self, sessions: &[Uuid]) {
        if sessions.is_empty() {
            return;
        }
        let now = Instant::now();
        let mut revoked = self.0.write().unwrap_or_else(PoisonError::into_inner);
        revoked.retain(|_, until| *until > now);
        revoked.extend(sessions.iter().map(|session| (*session, now + REMEMBERED)));
    }

    pub(super) fn contains(&self, session: Uuid) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(&session)
    }
}
