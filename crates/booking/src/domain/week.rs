//! The working hours of staff, and closures.

use chrono::{DateTime, Datelike as _, SubsecRound as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::WallTime;

/// A shift on the merchant's wall clock. The time between two shifts of a day is a break; a night shift is one
/// until 24:00 and another from 00:00 of the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Shift {
    /// 1 is Monday, 7 is Sunday.
    pub weekday: u8,
    /// 00:00 to 23:59.
    #[schema(value_type = String)]
    pub opens: WallTime,
    /// Later than `opens`; 24:00 is the end of the day.
    #[schema(value_type = String)]
    pub closes: WallTime,
}

/// A person's week: shifts that do not overlap, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Week {
    hours: Vec<Shift>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum InvalidWeek {
    #[error("weekday must be 1 (Monday) to 7 (Sunday)")]
    Weekday,
    #[error("shift must close after it opens")]
    Order,
    #[error("shifts of a day must not overlap")]
    Overlap,
    #[error("week must have at most {} shifts", Week::MOST)]
    TooMany,
}

impl Week {
    const MOST: usize = 70;

    pub fn try_new(mut hours: Vec<Shift>) -> Result<Self, InvalidWeek> {
        if hours.len() > Self::MOST {
            return Err(InvalidWeek::TooMany);
        }
        if hours.iter().any(|shift| !(1..=7).contains(&shift.weekday)) {
            return Err(InvalidWeek::Weekday);
        }
        if hours.iter().any(|shift| shift.opens >= shift.closes) {
            return Err(InvalidWeek::Order);
        }
        hours.sort_unstable();
        let overlap =
            |pair: &[Shift]| matches!(pair, [a, b] if a.weekday == b.weekday && b.opens < a.closes);
        if hours.windows(2).any(overlap) { Err(InvalidWeek::Overlap) } else { Ok(Self { hours }) }
    }

    pub fn shifts(&self) -> &[Shift] {
        &self.hours
    }
}

/// The time between two instants; the end is excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("closure must end after it starts, at most 400 days later, in the years 0 to 9999")]
pub struct InvalidClosure;

impl Span {
    /// Adds a day before and after, because adjacent shifts matter.
    pub fn with_neighbors(self) -> Self {
        Self { from: self.from - TimeDelta::days(1), to: self.to + TimeDelta::days(1) }
    }

    /// Returns the span of a closure. The constraint `closure_length` has the same limits.
    pub fn closure(from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Self, InvalidClosure> {
        let (from, to) = (from.trunc_subsecs(6), to.trunc_subsecs(6));
        let length = to.signed_duration_since(from);
        let storable = [from, to].iter().all(|time| (0..=9999).contains(&time.year()));
        if !storable || length <= TimeDelta::zero() || length > TimeDelta::days(400) {
            return Err(InvalidClosure);
        }
        Ok(Self { from, to })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shift(weekday: u8, opens: &str, closes: &str) -> Shift {
        Shift { weekday, opens: opens.parse().unwrap(), closes: closes.parse().unwrap() }
    }

    #[test]
    fn a_week_is_in_order_and_nobody_works_twice_at_a_time() {
        let (morning, afternoon) = (shift(1, "09:00", "12:00"), shift(1, "13:00", "18:00"));
        let week = Week::try_new(vec![afternoon, morning, shift(2, "11:00", "24:00")]).unwrap();
        assert_eq!(week.shifts()[..2], [morning, afternoon]);
        assert!(Week::try_new(vec![morning, shift(1, "12:00", "13:00")]).is_ok());

        for (wrong, shifts) in [
            (InvalidWeek::Overlap, vec![morning, shift(1, "11:59", "13:00")]),
            (InvalidWeek::Overlap, vec![morning, morning]),
            (InvalidWeek::Order, vec![shift(1, "09:00", "09:00")]),
            (InvalidWeek::Order, vec![shift(1, "22:00", "02:00")]),
            (InvalidWeek::Weekday, vec![shift(0, "09:00", "10:00")]),
            (InvalidWeek::Weekday, vec![shift(8, "09:00", "10:00")]),
            (InvalidWeek::TooMany, vec![morning; 71]),
        ] {
            assert_eq!(Week::try_new(shifts), Err(wrong));
        }
    }
}
