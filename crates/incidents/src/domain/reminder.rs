use chrono::{NaiveDate, TimeDelta};

/// The stage of an action's due date at which people are reminded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    SevenDays,
    ThreeDays,
    Today,
    Overdue,
}

impl Stage {
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

    /// Returns the stage for today. A stage that a restart has missed is caught up on until the next one;
    /// a stage from before the action's creation is not.
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
        let on = |today| Stage::on(day(today), due, day(1));
        assert_eq!(on(12), None);
        assert_eq!([13, 14, 16].map(on), [Some(Stage::SevenDays); 3]);
        assert_eq!([17, 19].map(on), [Some(Stage::ThreeDays); 2]);
        assert_eq!(on(20), Some(Stage::Today));
        assert_eq!([21, 30].map(on), [Some(Stage::Overdue); 2]);
        // Made two days before it is due: the earlier stages are left out.
        assert_eq!(Stage::on(day(18), due, day(18)), None);
        assert_eq!(Stage::on(day(20), due, day(18)), Some(Stage::Today));
    }
}
