//! Appointments that no longer show the promised wall-clock time, because a country changed the rules of its
//! time zone.

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::TimeZone;

/// The rules of time zones: maps a zone and a wall-clock time to instants. An argument, because rules change.
pub type Rules<'a> = &'a (dyn Fn(TimeZone, NaiveDateTime) -> MappedLocalTime<DateTime<Utc>> + Sync);

/// An appointment as it was promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    pub booking_id: Uuid,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub starts_at: DateTime<Utc>,
    /// The promised time on the clock of `zone`.
    pub wall_start: NaiveDateTime,
    pub zone: TimeZone,
}

/// The state of a promise under the current rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The appointment still starts at the promised time.
    Still,
    /// The promised time is now this instant.
    At(DateTime<Utc>),
    /// The clock skips the promised time: a person must ask the member.
    Never,
}

impl Promise {
    /// Compares the promise with these rules.
    pub fn kept(&self, rules: Rules<'_>) -> Kept {
        let at = |instant| if instant == self.starts_at { Kept::Still } else { Kept::At(instant) };
        match rules(self.zone, self.wall_start) {
            MappedLocalTime::Single(instant) => at(instant),
            // The nearer one of the two.
            MappedLocalTime::Ambiguous(one, other) => {
                let far = |instant: DateTime<Utc>| (instant - self.starts_at).abs();
                at(if far(other) < far(one) { other } else { one })
            }
            MappedLocalTime::None => Kept::Never,
        }
    }
}

/// Sorts moves so that no appointment moves onto one that has not moved away yet: later moves from the last to
/// the first, earlier moves from the first to the last.
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
