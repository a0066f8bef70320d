use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ShortText;

/// The priority of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    High,
    Medium,
    Low,
}

impl Priority {
    pub const ALL: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// An action to be added.
#[derive(Clone, Debug)]
pub struct NewAction {
    pub text: ShortText,
    pub priority: Priority,
    pub assignee: ShortText,
    pub due: NaiveDate,
}

/// A reminder of an action, by its due date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reminder {
    SevenDays,
    ThreeDays,
    Today,
    Overdue,
}

impl Reminder {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SevenDays => "seven_days",
            Self::ThreeDays => "three_days",
            Self::Today => "today",
            Self::Overdue => "overdue",
        }
    }

    /// Returns the name for people.
    pub fn words(self) -> &'static str {
        match self {
            Self::SevenDays => "Due in a week",
            Self::ThreeDays => "Due in three days",
            Self::Today => "Due today",
            Self::Overdue => "Overdue",
        }
    }

    /// Returns the reminder for today. One that a restart has missed is caught up on until the next one;
    /// one from before the action's creation is not.
    pub fn on(today: NaiveDate, due: NaiveDate, made: NaiveDate) -> Option<Self> {
        let (stage, began) = match (due - today).num_days() {
            ..0 => (Self::Overdue, due + TimeDelta::days(1)),
            0 => (Self::Today, due),
            1..=3 => (Self::ThreeDays, due - TimeDelta::days(3)),
            4..=7 => (Self::SevenDays, due - TimeDelta::days(7)),
            _ => return None,
        };
        (made <= began || stage == Self::Overdue).then_some(stage)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reminder_is_neither_early_nor_lost() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 6, day).unwrap();
        let due = day(20);
        let on = |today| Reminder::on(day(today), due, day(1));
        assert_eq!(on(12), None);
        assert_eq!([13, 14, 16].map(on), [Some(Reminder::SevenDays); 3]);
        assert_eq!([17, 19].map(on), [Some(Reminder::ThreeDays); 2]);
        assert_eq!(on(20), Some(Reminder::Today));
        assert_eq!([21, 30].map(on), [Some(Reminder::Overdue); 2]);
        // Made two days before it is due: the earlier stages are left out.
        assert_eq!(Reminder::on(day(18), due, day(18)), None);
        assert_eq!(Reminder::on(day(20), due, day(18)), Some(Reminder::Today));
    }
}
