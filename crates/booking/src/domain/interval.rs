//! The time of an appointment.

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use thiserror::Error;

/// A time from its start up to, but not including, its end; 5 minutes to 12 hours long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    starts_at: DateTime<Utc>,
    ends_at: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("booking must last 5 minutes to 12 hours")]
pub struct InvalidInterval;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("booking must start between now and 400 days from now")]
pub struct OutsideBookingWindow;

impl Interval {
    const SHORTEST: TimeDelta = TimeDelta::minutes(5);
    const LONGEST: TimeDelta = TimeDelta::hours(12);
    pub(super) const WINDOW: TimeDelta = TimeDelta::days(400);

    /// Truncates to microseconds, the precision of the database.
    pub fn try_new(
        starts_at: DateTime<Utc>,
        ends_at: DateTime<Utc>,
    ) -> Result<Self, InvalidInterval> {
        let (starts_at, ends_at) = (starts_at.trunc_subsecs(6), ends_at.trunc_subsecs(6));
        let length = ends_at.signed_duration_since(starts_at);
        if length < Self::SHORTEST || length > Self::LONGEST {
            return Err(InvalidInterval);
        }
        Ok(Self { starts_at, ends_at })
    }

    /// Refuses a start in the past or more than 400 days ahead.
    pub fn bookable_at(self, now: DateTime<Utc>) -> Result<(), OutsideBookingWindow> {
        let ahead = self.starts_at.signed_duration_since(now);
        if ahead < TimeDelta::zero() || ahead > Self::WINDOW {
            return Err(OutsideBookingWindow);
        }
        Ok(())
    }

    pub fn starts_at(self) -> DateTime<Utc> {
        self.starts_at
    }

    pub fn ends_at(self) -> DateTime<Utc> {
        self.ends_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn an_interval_is_five_minutes_to_twelve_hours() {
        let start = at("2030-01-01T10:00:00Z");
        let allowed = |length| Interval::try_new(start, start + length).is_ok();

        assert!(allowed(TimeDelta::minutes(5)));
        assert!(allowed(TimeDelta::hours(12)));
        assert!(!allowed(TimeDelta::minutes(5) - TimeDelta::microseconds(1)));
        assert!(!allowed(TimeDelta::hours(12) + TimeDelta::microseconds(1)));
        assert!(!allowed(TimeDelta::zero()));
        assert!(!allowed(TimeDelta::hours(-1)));
        assert!(Interval::try_new(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC).is_err());
    }

    #[test]
    fn the_window_opens_now_and_closes_after_400_days() {
        let now = at("2030-01-01T10:00:00Z");
        let bookable = |ahead| {
            let start = now + ahead;
            let interval = Interval::try_new(start, start + TimeDelta::hours(1)).unwrap();
            interval.bookable_at(now).is_ok()
        };

        assert!(bookable(TimeDelta::zero()));
        assert!(bookable(TimeDelta::days(400)));
        assert!(!bookable(TimeDelta::microseconds(-1)));
        assert!(!bookable(TimeDelta::days(400) + TimeDelta::microseconds(1)));
    }
}
