use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike as _, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;

use super::Severity;

/// The status of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Investigating,
    Identified,
    Monitoring,
    Resolved,
    PostmortemDone,
}

/// A change that an incident does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("the incident is {} and cannot become {}", .0.as_str(), .1.as_str())]
    Move(Status, Status),
    #[error("the incident is resolved")]
    Over,
    #[error("an incident cannot be linked or merged with itself")]
    Itself,
}

impl Status {
    pub const ALL: [Self; 5] = [
        Self::Investigating,
        Self::Identified,
        Self::Monitoring,
        Self::Resolved,
        Self::PostmortemDone,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Investigating => "investigating",
            Self::Identified => "identified",
            Self::Monitoring => "monitoring",
            Self::Resolved => "resolved",
            Self::PostmortemDone => "postmortem_done",
        }
    }

    /// Returns the name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::PostmortemDone => "postmortem done",
            other => other.as_str(),
        }
    }

    /// True until the incident is resolved.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Resolved | Self::PostmortemDone)
    }

    /// Checks a transition. Steps may be skipped, and taken back while the incident is open: a fix may not
    /// help. A resolved incident is never reopened; if its cause returns, that is a new incident.
    pub fn transition_to(self, next: Self) -> Result<Self, Refused> {
        let allowed = match self {
            Self::Investigating | Self::Identified | Self::Monitoring => {
                next != self && next != Self::PostmortemDone
            }
            Self::Resolved => next == Self::PostmortemDone,
            Self::PostmortemDone => false,
        };
        if allowed { Ok(next) } else { Err(Refused::Move(self, next)) }
    }

    /// Fails when the incident is resolved.
    pub fn require_open(self) -> Result<(), Refused> {
        if self.is_open() { Ok(()) } else { Err(Refused::Over) }
    }
}

/// A name that no status has.
#[derive(Debug, Error)]
#[error("unknown status")]
pub struct UnknownStatus;

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(name: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == name).ok_or(UnknownStatus)
    }
}

/// The number of an incident for people: the n-th of its year.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub year: i32,
    pub nth: i32,
}

impl Number {
    /// Returns the next number of the year.
    pub fn next(self) -> Self {
        Self { nth: self.nth + 1, ..self }
    }

    /// Returns the year that an incident opened now is counted in.
    pub fn year(now: DateTime<Utc>) -> i32 {
        now.year()
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "INC-{:04}-{:04}", self.year, self.nth)
    }
}

/// A target that an incident missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missed {
    Response,
    Resolution,
}

impl Missed {
    pub const ALL: [Self; 2] = [Self::Response, Self::Resolution];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Resolution => "resolution",
        }
    }

    /// Returns the text for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Response => "Not acknowledged in time: escalated",
            Self::Resolution => "Not resolved in time: escalated",
        }
    }
}

/// The time within which somebody must respond, and within which it must be resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub response: TimeDelta,
    pub resolution: TimeDelta,
}

/// Targets from P0 to P3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets(pub [Target; 4]);

impl Targets {
    pub fn of(&self, severity: Severity) -> Target {
        self.0[severity as usize]
    }
}

/// Returns the pause before the next reminder of an unacknowledged P0. It doubles with each reminder, up to an hour
/// or the first pause, whichever is longer.
pub fn repeat_after(first: TimeDelta, reminders: i32) -> TimeDelta {
    let doublings = u32::try_from(reminders).unwrap_or(0).min(10);
    let longest = first.max(TimeDelta::hours(1));
    first.checked_mul(1 << doublings).map_or(longest, |pause| pause.min(longest))
}

impl Default for Targets {
    fn default() -> Self {
        let target = |response, resolution| Target {
            response: TimeDelta::minutes(response),
            resolution: TimeDelta::hours(resolution),
        };
        Self([target(15, 2), target(60, 4), target(4 * 60, 24), target(24 * 60, 72)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_goes_forward_and_back_until_it_is_over() {
        use Status::{Identified, Investigating, Monitoring, PostmortemDone, Resolved};
        for (from, to, allowed) in [
            (Investigating, Identified, true),
            (Investigating, Resolved, true),
            (Monitoring, Investigating, true),
            (Monitoring, Monitoring, false),
            (Identified, PostmortemDone, false),
            (Resolved, PostmortemDone, true),
            (Resolved, Investigating, false),
            (PostmortemDone, Resolved, false),
            (PostmortemDone, PostmortemDone, false),
        ] {
            assert_eq!(from.transition_to(to).is_ok(), allowed, "{from:?} {to:?}");
        }
    }

    #[test]
    fn an_unanswered_incident_is_told_ever_more_rarely() {
        let minutes = |reminders| repeat_after(TimeDelta::minutes(5), reminders).num_minutes();
        assert_eq!([0, 1, 2, 3, 4, 9, i32::MAX].map(minutes), [5, 10, 20, 40, 60, 60, 60]);
    }

    #[test]
    fn a_number_is_counted_in_its_year() {
        assert_eq!(Number { year: 2026, nth: 1 }.to_string(), "INC-2026-0001");
        assert_eq!(Number { year: 2026, nth: 12_345 }.to_string(), "INC-2026-12345");
    }

    #[test]
    fn a_worse_incident_is_due_sooner() {
        let targets = Targets::default();
        assert_eq!(targets.of(Severity::P0).response, TimeDelta::minutes(15));
        for pair in Severity::ALL.windows(2) {
            assert!(targets.of(pair[0]).response < targets.of(pair[1]).response);
            assert!(targets.of(pair[0]).resolution < targets.of(pair[1]).resolution);
        }
    }
}
