use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::Severity;

/// How the status page looks back.
pub const DAYS: usize = 90;

/// How a service does, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Health {
    Operational,
    Degraded,
    Critical,
}

impl Health {
    /// What an incident of this severity makes of a service while it burns. P3 is felt by nobody.
    pub fn under(severity: Severity) -> Self {
        match severity {
            Severity::P0 => Self::Critical,
            Severity::P1 | Severity::P2 => Self::Degraded,
            Severity::P3 => Self::Operational,
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
pub struct Affliction {
    pub service: String,
    pub severity: Severity,
    pub from: DateTime<Utc>,
    /// None: it still is.
    pub until: Option<DateTime<Utc>>,
}

/// The worst of each of the last [`DAYS`] days (in UTC), the oldest first and today last.
pub fn days<'a>(
    afflictions: impl Iterator<Item = &'a Affliction>,
    now: DateTime<Utc>,
) -> [Health; DAYS] {
    let mut days = [Health::Operational; DAYS];
    let today = now.date_naive();
    for affliction in afflictions {
        let until = affliction.until.unwrap_or(now).max(affliction.from).date_naive();
        for (index, day) in days.iter_mut().rev().enumerate() {
            let date = today - TimeDelta::days(i64::try_from(index).unwrap_or(0));
            if (affliction.from.date_naive()..=until).contains(&date) {
                *day = (*day).max(Health::under(affliction.severity));
            }
        }
    }
    days
}

/// The share, from 0 to 1, of the last [`DAYS`] times 24 hours in which nothing critical burned.
#[expect(clippy::cast_precision_loss, reason = "a quarter of a year in milliseconds is exact")]
pub fn availability<'a>(
    afflictions: impl Iterator<Item = &'a Affliction>,
    now: DateTime<Utc>,
) -> f64 {
    let all = TimeDelta::days(i64::try_from(DAYS).unwrap_or(1));
    let critical = afflictions.filter(|a| Health::under(a.severity) == Health::Critical);
    let mut down: Vec<_> = critical.map(|a| (a.from, a.until.unwrap_or(now).min(now))).collect();
    down.sort_unstable();
    let (mut sum, mut reached) = (TimeDelta::zero(), now - all);
    for (from, until) in down {
        // Two at once are one.
        sum += (until - from.max(reached)).max(TimeDelta::zero());
        reached = reached.max(until);
    }
    1.0 - sum.num_milliseconds() as f64 / all.num_milliseconds() as f64
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    #[test]
    fn a_day_is_as_bad_as_its_worst_incident() {
        let at = |day, hour| Utc.with_ymd_and_hms(2026, 5, day, hour, 0, 0).unwrap();
        let now = at(20, 12);
        let affliction =
            |severity, from, until| Affliction { service: String::new(), severity, from, until };
        let found = days(
            [
                affliction(Severity::P2, at(10, 23), Some(at(11, 1))),
                affliction(Severity::P0, at(11, 5), Some(at(11, 6))),
                affliction(Severity::P3, at(12, 5), Some(at(12, 6))),
                affliction(Severity::P1, at(19, 5), None),
                // An end before the start is clock skew.
                affliction(Severity::P1, at(15, 5), Some(at(14, 5))),
            ]
            .iter(),
            now,
        );
        let on = |day: usize| found[DAYS - 1 - (20 - day)];
        assert_eq!(
            [9, 10, 11, 12, 14, 15, 18, 19, 20].map(on).map(|h| h as u8),
            [0, 1, 2, 0, 0, 1, 0, 1, 1]
        );
    }
    #[test]
    fn available_is_whenever_nothing_critical_burns() {
        let now = Utc.with_ymd_and_hms(2026, 5, 20, 12, 0, 0).unwrap();
        let ago = |days| now - TimeDelta::days(days);
        let share = |found: &[(Severity, i64, Option<i64>)]| {
            let affliction = |&(severity, from, until): &(_, _, Option<i64>)| Affliction {
                service: String::new(),
                severity,
                from: ago(from),
                until: until.map(ago),
            };
            let afflictions: Vec<_> = found.iter().map(affliction).collect();
            (availability(afflictions.iter(), now) * 90.0).round()
        };
        let (p0, p1) = (Severity::P0, Severity::P1);
        assert_eq!(share(&[]), 90.0);
        assert_eq!(share(&[(p1, 20, None)]), 90.0);
        assert_eq!(share(&[(p0, 20, Some(11))]), 81.0);
        assert_eq!(share(&[(p0, 9, None)]), 81.0);
        // At the same time, one within the other, and one that began before.
        assert_eq!(share(&[(p0, 20, Some(11)), (p0, 15, Some(10)), (p0, 18, Some(17))]), 80.0);
        assert_eq!(share(&[(p0, 100, Some(80)), (p0, 300, Some(200))]), 80.0);
        assert_eq!(share(&[(p0, 200, None)]), 0.0);
        // An end before the start is clock skew.
        assert_eq!(share(&[(p0, 5, Some(6))]), 90.0);
    }
}
