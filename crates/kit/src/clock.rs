//! The only place that reads the time or draws an id.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use uuid::{Timestamp, Uuid};

/// A handle to the current time. Cheap to clone; fixed in tests.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>);

impl Clock {
    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the time")]
    pub fn system() -> Self {
        Self(Arc::new(Utc::now))
    }

    /// A clock that stands still, for tests.
    pub fn fixed(now: DateTime<Utc>) -> Self {
        Self(Arc::new(move || now))
    }

    /// The time now, in UTC, cut to microseconds: that is what PostgreSQL keeps, and what was answered
    /// must read back the same.
    pub fn now(&self) -> DateTime<Utc> {
        (self.0)().trunc_subsecs(6)
    }

    /// A new time-ordered id (UUIDv7), stamped with this clock's time.
    pub fn id(&self) -> Uuid {
        let now = self.now();
        let seconds = now.timestamp().unsigned_abs();
        Uuid::new_v7(Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos()))
    }
}
