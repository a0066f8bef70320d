//! The search for free times.
//!
//! Working hours are wall-clock times, so everything is decided per instant: an instant is open when the
//! merchant's clock shows a time inside a shift. On the day on which an hour occurs twice, both are open; an
//! hour that the clock skips has no instant.

use chrono::{DateTime, Datelike as _, NaiveDate, NaiveTime, TimeDelta, Utc};
use thiserror::Error;

use super::{Interval, Length, Span, TimeZone, Week};

/// Appointments start on these minutes of the merchant's clock.
const GRID: TimeDelta = TimeDelta::minutes(15);

/// A range of 1 to 31 local days; the last one is excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    from: NaiveDate,
    to: NaiveDate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("search must cover 1 to 31 days in the years 1 to 9998")]
pub struct InvalidDays;

impl Days {
    pub fn try_new(from: NaiveDate, to: NaiveDate) -> Result<Self, InvalidDays> {
        let known = (1..=9998).contains(&from.year()) && (1..=9998).contains(&to.year());
        let days = to.signed_duration_since(from).num_days();
        if known && (1..=31).contains(&days) { Ok(Self { from, to }) } else { Err(InvalidDays) }
    }

    /// Returns all instants of these days in any zone, extended by the longest appointment.
    pub fn reach(self) -> Span {
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        Span {
            from: midnight(self.from) - TimeDelta::hours(24),
            to: midnight(self.to) + TimeDelta::hours(36),
        }
    }

    fn contains(self, day: NaiveDate) -> bool {
        self.from <= day && day < self.to
    }
}

/// The working hours and the occupied times of one staff member. Bookings are sorted and do not overlap;
/// adjacent ones may be merged.
#[derive(Clone, Debug, Default)]
pub struct Calendar {
    pub week: Week,
    /// Closures and time off: no appointment reaches into one.
    pub away: Vec<Span>,
    /// Bookings with their buffers: no appointment nor its buffer reaches into one.
    pub booked: Vec<Span>,
}

/// The merchant's clock during a time span, as stretches of constant offset.
#[derive(Clone, Debug)]
pub struct WallClock(Vec<Stretch>);

#[derive(Clone, Copy, Debug)]
struct Stretch {
    span: Span,
    offset: TimeDelta,
}

impl Calendar {
    /// Returns `true` when a booking overlaps `wanted`.
    pub fn is_taken(&self, wanted: Span) -> bool {
        let next = self.booked.partition_point(|booking| booking.to <= wanted.from);
        self.booked.get(next).is_some_and(|booking| booking.from < wanted.to)
    }
}

impl WallClock {
    /// Shorter than the time between two changes of any clock.
    const STEP: TimeDelta = TimeDelta::hours(3);

    pub fn over(zone: TimeZone, span: Span) -> Self {
        let offset_at = |time| TimeDelta::seconds(zone.offset_at(time).into());
        let mut stretches = Vec::new();
        let (mut from, mut seen) = (span.from, span.from);
        while seen < span.to {
            let next = (seen + Self::STEP).min(span.to);
            let offset = offset_at(from);
            if offset_at(next) != offset {
                let change = first_second(seen, next, |time| offset_at(time) != offset);
                stretches.push(Stretch { span: Span { from, to: change }, offset });
                from = change;
            }
            seen = next;
        }
        if from < span.to {
            let offset = offset_at(from);
            stretches.push(Stretch { span: Span { from, to: span.to }, offset });
        }
        Self(stretches)
    }

    /// Returns the starts at which an appointment of this length may be booked now, in order.
    pub fn free(
        &self,
        days: Days,
        calendar: &Calendar,
        length: Length,
        now: DateTime<Utc>,
    ) -> Vec<DateTime<Utc>> {
        let mut free = Vec::new();
        for open in self.open(calendar) {
            for stretch in self.0.iter().filter(|s| s.span.from < open.to && open.from < s.span.to)
            {
                let earliest = open.from.max(stretch.span.from).max(now);
                let mut start = stretch.on_grid(earliest);
                while start < stretch.span.to
                    && start + length.duration() <= open.to
                    && start <= now + Interval::WINDOW
                {
                    let rest =
                        Span { from: start, to: start + length.duration() + length.buffer() };
                    if days.contains(stretch.day_at(start)) && !calendar.is_taken(rest) {
                        free.push(start);
                    }
                    start += GRID;
                }
            }
        }
        free
    }

    /// Returns `true` when `start` is on the clock's grid.
    pub fn is_on_grid(&self, start: DateTime<Utc>) -> bool {
        let stretch = self.0.iter().find(|s| s.span.from <= start && start < s.span.to);
        stretch.is_some_and(|stretch| stretch.on_grid(start) == start)
    }

    /// Returns `true` when the person works during the whole appointment.
    pub fn is_open(&self, calendar: &Calendar, appointment: Span) -> bool {
        let covers = |open: &Span| open.from <= appointment.from && appointment.to <= open.to;
        self.open(calendar).iter().any(covers)
    }

    /// Returns the person's working times, regardless of bookings: in order, not adjacent.
    fn open(&self, calendar: &Calendar) -> Vec<Span> {
        let mut open: Vec<Span> = Vec::new();
        for stretch in &self.0 {
            for shift in stretch.shifts(&calendar.week) {
                match open.last_mut() {
                    Some(last) if last.to >= shift.from => last.to = shift.to,
                    _ => open.push(shift),
                }
            }
        }
        let mut away = calendar.away.clone();
        away.sort_unstable();
        without(&open, &away)
    }
}

impl Stretch {
    fn day_at(&self, time: DateTime<Utc>) -> NaiveDate {
        (time + self.offset).date_naive()
    }

    /// Returns the first start on the grid at `time` or later.
    fn on_grid(&self, time: DateTime<Utc>) -> DateTime<Utc> {
        let local = (time + self.offset).timestamp_micros();
        let grid = GRID.num_seconds() * 1_000_000;
        time + TimeDelta::microseconds((grid - local.rem_euclid(grid)) % grid)
    }

    /// Returns the week's shifts, cut to this stretch.
    fn shifts<'a>(&'a self, week: &'a Week) -> impl Iterator<Item = Span> + 'a {
        let (first, last) = (self.day_at(self.span.from), self.day_at(self.span.to));
        let days = first.iter_days().take_while(move |day| *day <= last);
        days.flat_map(move |day| {
            let midnight = day.and_time(NaiveTime::MIN).and_utc() - self.offset;
            let weekday = day.weekday().number_from_monday();
            let shifts = week.shifts().iter().filter(move |s| u32::from(s.weekday) == weekday);
            shifts.map(move |shift| Span {
                from: midnight + TimeDelta::minutes(shift.opens.minute().into()),
                to: midnight + TimeDelta::minutes(shift.closes.minute().into()),
            })
        })
        .map(|shift| Span { from: shift.from.max(self.span.from), to: shift.to.min(self.span.to) })
        .filter(|shift| shift.from < shift.to)
    }
}

/// Returns `open` without `away`; both are in order.
fn without(open: &[Span], away: &[Span]) -> Vec<Span> {
    let mut left = Vec::new();
    for span in open {
        let mut from = span.from;
        for gone in away.iter().filter(|gone| gone.from < span.to && span.from < gone.to) {
            if from < gone.from {
                left.push(Span { from, to: gone.from });
            }
            from = from.max(gone.to);
        }
        if from < span.to {
            left.push(Span { from, to: span.to });
        }
    }
    left
}

/// Returns the first second after `no` at which `holds` is true; it is true at `yes`.
fn first_second(
    no: DateTime<Utc>,
    yes: DateTime<Utc>,
    holds: impl Fn(DateTime<Utc>) -> bool,
) -> DateTime<Utc> {
    let (mut no, mut yes) = (no.timestamp(), yes.timestamp());
    let at = |second| DateTime::from_timestamp(second, 0).unwrap_or_default();
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if holds(at(middle)) { yes = middle } else { no = middle }
    }
    at(yes)
}
