//! Appointments whose instant no longer shows what the merchant's clock was to show, because a country has changed
//! its clocks.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::TimeZone;

/// The rules of time zones: the instants at which a zone's clock shows this time. An argument, because rules change.
pub type Rules<'a> = &'a (dyn Fn(TimeZone, NaiveDateTime) -> MappedLocalTime<DateTime<Utc>> + Sync);

/// An appointment as it was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    pub booking_id: Uuid,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub starts_at: DateTime<Utc>,
    /// The reading of the clock of `zone` that was promised.
    pub wall_start: NaiveDateTime,
    pub zone: TimeZone,
}

/// The state of a promise under the rules of today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The clock shows then what was promised.
    Still,
    /// The clock shows it at another instant.
    At(DateTime<Utc>),
    /// The clock shows it never on that day: a person has to ask the member.
    Never,
}

impl Promise {
    pub fn kept(&self, rules: Rules<'_>) -> Kept {
        let at = |instant| if instant == self.starts_at { Kept::Still } else { Kept::At(instant) };
        match rules(self.zone, self.wall_start) {
            MappedLocalTime::Single(instant) => at(instant),
            // It was one of the two, or it is the one that is nearer to what it was.
            MappedLocalTime::Ambiguous(one, other) => {
                let far = |instant: DateTime<Utc>| (instant - self.starts_at).abs();
                at(if far(other) < far(one) { other } else { one })
            }
            MappedLocalTime::None => Kept::Never,
        }
    }
}

/// Puts moves into an order in which nobody is moved onto an appointment that is itself about to move away: what
/// moves to a later time the last first, what moves to an earlier time the first first.
pub fn in_order(moves: &mut [(Promise, DateTime<Utc>)]) {
    moves.sort_by_key(|(promise, becomes)| {
        let at = promise.starts_at.timestamp_micros();
        let later = *becomes - promise.starts_at > TimeDelta::zero();
        (promise.staff_id, if later { -at } else { at })
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn promise(starts_at: &str, wall: &str) -> Promise {
        let id = Uuid::from_u128(1);
        Promise {
            booking_id: id,
            merchant_id: id,
            staff_id: id,
            starts_at: starts_at.parse().unwrap(),
            wall_start: wall.parse().unwrap(),
            zone: "Asia/Tokyo".parse().unwrap(),
        }
    }

    #[test]
    fn an_appointment_follows_the_clock_that_it_was_promised_on() {
        let ten = promise("2030-06-01T01:00:00Z", "2030-06-01T10:00:00");
        let shows = |hours: i64| {
            move |_: TimeZone, wall: NaiveDateTime| {
                MappedLocalTime::Single(wall.and_utc() - TimeDelta::hours(hours))
            }
        };
        assert_eq!(ten.kept(&shows(9)), Kept::Still);
        assert_eq!(ten.kept(&shows(10)), Kept::At("2030-06-01T00:00:00Z".parse().unwrap()));
        assert_eq!(ten.kept(&|_, _| MappedLocalTime::None), Kept::Never);
        let twice = |_: TimeZone, wall: NaiveDateTime| {
            let at = |hours| wall.and_utc() - TimeDelta::hours(hours);
            MappedLocalTime::Ambiguous(at(10), at(9))
        };
        assert_eq!(ten.kept(&twice), Kept::Still);
    }

    #[test]
    fn of_those_who_move_alike_nobody_meets_the_next() {
        let at =
            |hour: u32| promise(&format!("2030-06-01T{hour:02}:00:00Z"), "2030-06-01T10:00:00");
        for hours in [1, -1] {
            let becomes = |p: Promise| (p, p.starts_at + TimeDelta::hours(hours));
            let mut moves = [2, 1, 3].map(at).map(becomes);
            in_order(&mut moves);
            let mut taken: Vec<_> = moves.iter().map(|(p, _)| p.starts_at).collect();
            for (p, to) in &moves {
                taken.retain(|at| *at != p.starts_at);
                assert!(!taken.contains(to), "{p:?}");
                taken.push(*to);
            }
        }
    }
}
