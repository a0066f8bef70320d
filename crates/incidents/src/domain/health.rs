use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::Severity;

/// The number of days that the status page shows.
pub const DAYS: usize = 90;

/// The health of a service, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Health {
    Operational,
    Degraded,
    Critical,
}

impl Health {
    /// Returns a service's health during an incident of this severity. A P3 has no effect on users.
    pub fn under(severity: Severity) -> Self {
        match severity {
            Severity::P0 => Self::Critical,
            Severity::P1 | Severity::P2 => Self::Degraded,
            Severity::P3 => Self::Operational,
        }
    }

    /// Returns the effect of an incident of this severity on users, to follow the service's name.
    pub fn felt(severity: Severity) -> &'static str {
        match severity {
            Severity::P0 => "does not work",
            Severity::P1 => "works badly",
            Severity::P2 => "works with limits",
            Severity::P3 => "needs a look",
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operational => "OPERATIONAL",
            Self::Degraded => "DEGRADED",
            Self::Critical => "CRITICAL",
        }
    }
}

/// A time in which a service was affected.
#[derive(Clone, Debug)]
pub struct Impact {
    pub service: String,
    pub severity: Severity,
    pub from: DateTime<Utc>,
    /// `None` while it still is.
    pub until: Option<DateTime<Utc>>,
}

/// The part of a day (in UTC) in which the alerting chain was alive.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    pub day: NaiveDate,
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

/// The shortest watched time for which an availability is given.
const ENOUGH: TimeDelta = TimeDelta::days(1);

/// Returns the worst health of each of the last [`DAYS`] days (in UTC), the oldest first and today last. `None` for
/// a day that was not watched.
pub fn days<'a>(
    impacts: impl Iterator<Item = &'a Impact>,
    watched: &[Watched],
    now: DateTime<Utc>,
) -> [Option<Health>; DAYS] {
    let today = now.date_naive();
    let date = |index: usize| {
        let ago = DAYS - 1 - index;
        today - TimeDelta::days(i64::try_from(ago).unwrap_or(0))
    };
    let mut days = std::array::from_fn(|index| {
        let day = date(index);
        watched.iter().any(|watched| watched.day == day).then_some(Health::Operational)
    });
    for impact in impacts {
        let felt = Health::under(impact.severity);
        let until = impact.until.unwrap_or(now).max(impact.from).date_naive();
        for (index, day) in days.iter_mut().enumerate() {
            let within = (impact.from.date_naive()..=until).contains(&date(index));
            if within && felt != Health::Operational {
                *day = (*day).max(Some(felt));
            }
        }
    }
    days
}

/// Returns the share, from 0 to 1, of the watched time in the last [`DAYS`] times 24 hours without a critical
/// incident. `None` when less than a day was watched.
#[expect(clippy::cast_precision_loss, reason = "a quarter of a year in milliseconds is exact")]
pub fn availability<'a>(
    impacts: impl Iterator<Item = &'a Impact>,
    watched: &[Watched],
    now: DateTime<Utc>,
) -> Option<f64> {
    let since = now - TimeDelta::days(i64::try_from(DAYS).unwrap_or(1));
    let clipped = |watched: &Watched| {
        (watched.until.min(now) - watched.from.max(since)).max(TimeDelta::zero())
    };
    let known: TimeDelta = watched.iter().map(clipped).sum();
    if known < ENOUGH {
        return None;
    }
    let critical = impacts.filter(|a| Health::under(a.severity) == Health::Critical);
    let mut down: Vec<_> = critical.map(|a| (a.from, a.until.unwrap_or(now).min(now))).collect();
    down.sort_unstable();
    let (mut sum, mut reached) = (TimeDelta::zero(), since);
    for (from, until) in down {
        // Overlapping times count once.
        sum += (until - from.max(reached)).max(TimeDelta::zero());
        reached = reached.max(until);
    }
    // A critical incident in unwatched time counts, too.
    let share = sum.num_milliseconds() as f64 / known.num_milliseconds() as f64;
    Some((1.0 - share).max(0.0))
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    #[test]
    fn a_day_is_as_bad_as_its_worst_incident() {
        let at = |day, hour| Utc.with_ymd_and_hms(2026, 5, day, hour, 0, 0).unwrap();
        let now = at(20, 12);
        let impact =
            |severity, from, until| Impact { service: String::new(), severity, from, until };
        let found = days(
            [
                impact(Severity::P2, at(10, 23), Some(at(11, 1))),
                impact(Severity::P0, at(11, 5), Some(at(11, 6))),
                impact(Severity::P3, at(12, 5), Some(at(12, 6))),
                impact(Severity::P1, at(19, 5), None),
                // An end before the start is clock skew.
                impact(Severity::P1, at(15, 5), Some(at(14, 5))),
            ]
            .iter(),
            &watch(8..=18, at(1, 0)),
            now,
        );
        let on = |day: usize| found[DAYS - 1 - (20 - day)].map(|health| health as u8);
        let known = [8, 9, 10, 11, 12, 14, 15, 18, 19, 20].map(on);
        assert_eq!(known, [0, 0, 1, 2, 0, 0, 1, 0, 1, 1].map(Some));
        // An unwatched day is not green.
        assert_eq!([1, 7].map(on), [None, None]);
    }

    /// Returns whole watched days.
    fn watch(days: std::ops::RangeInclusive<i64>, first: DateTime<Utc>) -> Vec<Watched> {
        let watched = |day| {
            let from = first + TimeDelta::days(day - 1);
            Watched { day: from.date_naive(), from, until: from + TimeDelta::days(1) }
        };
        days.map(watched).collect()
    }

    #[test]
    fn available_is_whenever_nothing_critical_burns() {
        let now = Utc.with_ymd_and_hms(2026, 5, 20, 12, 0, 0).unwrap();
        let ago = |days| now - TimeDelta::days(days);
        let share = |found: &[(Severity, i64, Option<i64>)]| {
            let impact = |&(severity, from, until): &(_, _, Option<i64>)| Impact {
                service: String::new(),
                severity,
                from: ago(from),
                until: until.map(ago),
            };
            let impacts: Vec<_> = found.iter().map(impact).collect();
            let watched = watch(1..=91, ago(91));
            (availability(impacts.iter(), &watched, now).unwrap() * 90.0).round()
        };
        let (p0, p1) = (Severity::P0, Severity::P1);
        assert_eq!(share(&[]), 90.0);
        assert_eq!(share(&[(p1, 20, None)]), 90.0);
        assert_eq!(share(&[(p0, 20, Some(11))]), 81.0);
        assert_eq!(share(&[(p0, 9, None)]), 81.0);
        // Overlapping incidents, one within another, and one that began earlier.
        assert_eq!(share(&[(p0, 20, Some(11)), (p0, 15, Some(10)), (p0, 18, Some(17))]), 80.0);
        assert_eq!(share(&[(p0, 100, Some(80)), (p0, 300, Some(200))]), 80.0);
        assert_eq!(share(&[(p0, 200, None)]), 0.0);
        // An end before the start is clock skew.
        assert_eq!(share(&[(p0, 5, Some(6))]), 90.0);
        // Three watched minutes give no availability; one of ten days is a tenth.
        let critical =
            [Impact { service: String::new(), severity: p0, from: ago(5), until: Some(ago(4)) }];
        let (minutes, days) = (now - TimeDelta::minutes(3), watch(1..=10, ago(10)));
        let young = [Watched { day: now.date_naive(), from: minutes, until: now }];
        assert_eq!(availability([].iter(), &young, now), None);
        assert_eq!(availability(critical.iter(), &days, now), Some(0.9));
    }
}
