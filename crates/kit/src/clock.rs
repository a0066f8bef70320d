//! The only source of time and ids.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use uuid::{Timestamp, Uuid};

/// A handle to the current time. Cheap to clone; fixed in tests.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// Returns the machine's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
    pub fn system() -> Self {
        Self(Arc::new(Utc::now))
    }

    /// Returns a clock that stands still, for tests.
    pub fn fixed(now: DateTime<Utc>) -> Self {
        Self(Arc::new(move || now))
    }

    /// Returns the current time in UTC, truncated to microseconds. PostgreSQL stores no more, and an answer
    /// must equal what is read back later.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)().trunc_subsecs(6)
    }

    /// Returns a new time-ordered id (UUIDv7) with this clock's time.
    pub fn id(&self) -> Uuid {
        let now = self.now();
        let seconds = now.timestamp().unsigned_abs();
        Uuid::new_v7(Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos()))
    }
}
