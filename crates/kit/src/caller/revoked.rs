//! Sessions that have ended while their tokens are still valid.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

/// Time for which an ended session is remembered: longer than any access token lives, including the leeway.
pub const REMEMBERED: Duration = Duration::from_mins(6);

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
