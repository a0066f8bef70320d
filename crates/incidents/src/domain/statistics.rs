use std::collections::BTreeMap;

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::Severity;

/// The data of an incident that statistics need.
#[derive(Clone, Debug)]
pub struct Sample {
    pub severity: Severity,
    pub service: String,
    /// A hash that alerts of one cause share.
    pub cause: String,
    pub title: String,
    pub started: DateTime<Utc>,
    pub opened: DateTime<Utc>,
    pub acknowledged: Option<DateTime<Utc>>,
    pub resolved: Option<DateTime<Utc>>,
    pub breached: bool,
}

/// The statistics of a period. Means are in seconds, and absent when there is no incident to take one of.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Statistics {
    pub incidents: usize,
    /// Mean time from the start to the detection.
    pub mttd_seconds: Option<f64>,
    /// Mean time from the detection to the acknowledgement.
    pub mtta_seconds: Option<f64>,
    /// Mean time from the start to the end.
    pub mttr_seconds: Option<f64>,
    /// The number of incidents that missed a target.
    pub late: usize,
    /// The numbers of P0 to P3.
    pub by_severity: [usize; 4],
    pub by_service: Vec<Count>,
    /// Week by week, the oldest first.
    pub weeks: Vec<Week>,
    /// Causes that occurred more than once, the most frequent first.
    pub repeats: Vec<Count>,
}

/// A name and the number of its incidents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Count {
    pub name: String,
    pub count: usize,
}

/// The statistics of a week.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Week {
    /// Its Monday.
    pub from: NaiveDate,
    /// The numbers of P0 to P3.
    pub by_severity: [usize; 4],
    pub mttr_seconds: Option<f64>,
}

impl Statistics {
    /// Summarizes the incidents that opened in the period; weeks without any are included.
    pub fn of(samples: &[Sample], from: DateTime<Utc>, until: DateTime<Utc>) -> Self {
        let resolve = |s: &Sample| Some((s.resolved? - s.started).max(TimeDelta::zero()));
        let mut weeks = Vec::new();
        let mut monday = monday(from.date_naive());
        while monday < until.date_naive() {
            let next = monday + TimeDelta::days(7);
            let of_it =
                || samples.iter().filter(|s| (monday..next).contains(&s.opened.date_naive()));
            weeks.push(Week {
                from: monday,
                by_severity: severities(of_it()),
                mttr_seconds: mean(of_it().filter_map(resolve)),
            });
            monday = next;
        }
        let detect = |s: &Sample| (s.opened - s.started).max(TimeDelta::zero());
        let answer = |s: &Sample| Some((s.acknowledged? - s.opened).max(TimeDelta::zero()));
        let mut causes: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        for sample in samples {
            causes.entry(&sample.cause).or_insert((0, &sample.title)).0 += 1;
        }
        let repeats = causes.into_values().filter(|(count, _)| *count > 1);
        Self {
            incidents: samples.len(),
            mttd_seconds: mean(samples.iter().map(detect)),
            mtta_seconds: mean(samples.iter().filter_map(answer)),
            mttr_seconds: mean(samples.iter().filter_map(resolve)),
            late: samples.iter().filter(|s| s.breached).count(),
            by_severity: severities(samples.iter()),
            by_service: most(counted(samples.iter().map(|s| s.service.as_str()))),
            weeks,
            repeats: most(
                repeats.map(|(count, name)| Count { name: name.to_owned(), count }).collect(),
            ),
        }
    }
}

fn severities<'a>(samples: impl Iterator<Item = &'a Sample>) -> [usize; 4] {
    let mut counts = [0; 4];
    for sample in samples {
        counts[sample.severity as usize] += 1;
    }
    counts
}

fn counted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Count> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts.into_iter().map(|(name, count)| Count { name: name.to_owned(), count }).collect()
}

fn most(mut counts: Vec<Count>) -> Vec<Count> {
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    counts.truncate(12);
    counts
}

#[expect(clippy::cast_precision_loss, reason = "a mean of seconds needs no 53 bits")]
fn mean(spans: impl Iterator<Item = TimeDelta>) -> Option<f64> {
    let spans: Vec<_> = spans.collect();
    let sum: i64 = spans.iter().map(TimeDelta::num_milliseconds).sum();
    (!spans.is_empty()).then(|| sum as f64 / 1000.0 / spans.len() as f64)
}

fn monday(day: NaiveDate) -> NaiveDate {
    day - TimeDelta::days(day.weekday().num_days_from_monday().into())
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone as _;

    use super::*;

    #[test]
    fn a_period_is_summed_up() {
        let at = |day, hour| Utc.with_ymd_and_hms(2026, 6, day, hour, 0, 0).unwrap();
        let sample = |severity, cause: &str, day, hours: Option<u32>| Sample {
            severity,
            service: "points".to_owned(),
            cause: cause.to_owned(),
            title: format!("{cause} burns"),
            started: at(day, 1),
            opened: at(day, 2),
            acknowledged: hours.map(|_| at(day, 3)),
            resolved: hours.map(|hours| at(day, 1 + hours)),
            breached: hours.is_none(),
        };
        let found = Statistics::of(
            &[
                sample(Severity::P0, "disk", 1, Some(2)),
                sample(Severity::P2, "disk", 9, Some(4)),
                sample(Severity::P2, "net", 10, None),
            ],
            at(1, 0),
            at(16, 0),
        );
        assert_eq!((found.incidents, found.late, found.by_severity), (3, 1, [1, 0, 2, 0]));
        assert_eq!(found.mttd_seconds, Some(3600.0));
        assert_eq!(found.mtta_seconds, Some(3600.0));
        assert_eq!(found.mttr_seconds, Some(3.0 * 3600.0));
        assert_eq!(found.repeats, [Count { name: "disk burns".to_owned(), count: 2 }]);
        let weeks: Vec<_> = found.weeks.iter().map(|w| (w.from.day(), w.by_severity)).collect();
        assert_eq!(weeks, [(1, [1, 0, 0, 0]), (8, [0, 0, 2, 0]), (15, [0; 4])]);
        assert_eq!(Statistics::of(&[], at(1, 0), at(2, 0)).mttr_seconds, None);
    }
}
