//! Free slots against a model that tries every minute, around every change of every clock.

use std::cell::Cell;

use booking::domain::{Calendar, Days, Length, Shift, Span, TimeZone, WallClock, WallTime, Week};
use chrono::{
    DateTime, Datelike as _, MappedLocalTime, NaiveDate, Offset as _, TimeDelta, TimeZone as _,
    Timelike as _, Utc,
};
use chrono_tz::Tz;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

/// Both hemispheres, half hours, Ramadan, the date line, midnight changes, and none at all.
const ZONES: [&str; 26] = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/El_Aaiun",
    "America/Asuncion",
    "America/Havana",
    "America/Los_Angeles",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Gaza",
    "Asia/Jerusalem",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Atlantic/Azores",
    "Australia/Adelaide",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Easter",
];

fn offset(zone: Tz, time: DateTime<Utc>) -> i32 {
    zone.offset_from_utc_datetime(&time.naive_utc()).fix().local_minus_utc()
}

/// Every minute from 2025 to 2035 at which this clock is changed.
fn transitions(zone: Tz) -> Vec<DateTime<Utc>> {
    let mut time = Utc.with_ymd_and_hms(2025, 1, 1, 0, 0, 0).unwrap();
    let end = Utc.with_ymd_and_hms(2036, 1, 1, 0, 0, 0).unwrap();
    let mut found = Vec::new();
    while time < end {
        let next = time + TimeDelta::hours(1);
        if offset(zone, time) != offset(zone, next) {
            let minutes = (0..60).map(|minute| time + TimeDelta::minutes(minute));
            found.extend(
                minutes
                    .filter(|minute| {
                        offset(zone, *minute) != offset(zone, *minute + TimeDelta::minutes(1))
                    })
                    .map(|minute| minute + TimeDelta::minutes(1)),
            );
        }
        time = next;
    }
    found
}

/// Minutes relative to the change, except for the week, which is by the local day.
#[derive(Clone, Debug)]
struct Case {
    shifts: Vec<(u8, u16, u16)>,
    away: Vec<(i64, i64)>,
    booked: Vec<(i64, i64)>,
    duration: i32,
    buffer: i32,
    now: i64,
}

fn cases() -> impl Strategy<Value = Case> {
    let around = -1440..1440_i64;
    let shift = (1..=7_u8, 0..288_u16, 1..=288_u16);
    (
        vec(shift, 4..16),
        vec((around.clone(), 1..400_i64), 0..3),
        vec((around, 5..200_i64), 0..5),
        5..240_i32,
        0..60_i32,
        prop_oneof![Just(-5000_i64), -1000..500_i64],
    )
        .prop_map(|(shifts, away, booked, duration, buffer, now)| Case {
            shifts,
            away,
            booked,
            duration,
            buffer,
            now,
        })
}

impl Case {
    fn week(&self) -> Week {
        let wall = |fives: u16| WallTime::from_minute(i32::from(fives) * 5).unwrap();
        let mut kept: Vec<Shift> = Vec::new();
        for (weekday, opens, length) in &self.shifts {
            let closes = (opens + length).min(288);
            let shift = Shift { weekday: *weekday, opens: wall(*opens), closes: wall(closes) };
            kept.push(shift);
            if Week::try_new(kept.clone()).is_err() {
                kept.pop();
            }
        }
        Week::try_new(kept).unwrap()
    }

    fn spans(&self, pieces: &[(i64, i64)], change: DateTime<Utc>, apart: bool) -> Vec<Span> {
        let mut pieces = pieces.to_vec();
        pieces.sort_unstable();
        let mut spans: Vec<Span> = Vec::new();
        for (start, length) in pieces {
            let from = change + TimeDelta::minutes(start);
            let free = spans.last().is_none_or(|last| last.to <= from);
            if free || !apart {
                spans.push(Span { from, to: from + TimeDelta::minutes(length) });
            }
        }
        spans
    }
}

/// The model: tries each minute.
fn by_hand(
    zone: Tz,
    days: (NaiveDate, NaiveDate),
    calendar: &Calendar,
    length: Length,
    now: DateTime<Utc>,
) -> Vec<DateTime<Utc>> {
    let minute_of = |time: DateTime<Utc>| {
        let local = time.with_timezone(&zone);
        (local.date_naive(), i32::try_from(local.num_seconds_from_midnight() / 60).unwrap())
    };
    let inside = |spans: &[Span], time| spans.iter().any(|s| s.from <= time && time < s.to);
    let begin = days.0.and_hms_opt(0, 0, 0).unwrap().and_utc() - TimeDelta::hours(26);
    let minutes = (days.1 - days.0).num_days() * 1440 + 54 * 60;
    let times: Vec<_> = (0..minutes).map(|minute| begin + TimeDelta::minutes(minute)).collect();
    // Per minute: works then, and is not booked then.
    let states: Vec<(bool, bool)> = times
        .iter()
        .map(|time| {
            let (day, minute) = minute_of(*time);
            let weekday = day.weekday().number_from_monday();
            let works = calendar.week.shifts().iter().any(|shift| {
                u32::from(shift.weekday) == weekday
                    && (shift.opens.minute()..shift.closes.minute()).contains(&minute)
            });
            (works && !inside(&calendar.away, *time), !inside(&calendar.booked, *time))
        })
        .collect();

    let duration = usize::try_from(length.duration_minutes()).unwrap();
    let whole = duration + usize::try_from(length.buffer_minutes()).unwrap();
    let mut free = Vec::new();
    for (index, time) in times.iter().enumerate() {
        let (day, minute) = minute_of(*time);
        let Some(appointment) = states.get(index..index + whole) else { break };
        if days.0 <= day
            && day < days.1
            && minute % 15 == 0
            && *time >= now
            && appointment[..duration].iter().all(|(works, _)| *works)
            && appointment.iter().all(|(_, unbooked)| *unbooked)
        {
            free.push(*time);
        }
    }
    free
}

#[test]
fn free_slots_are_what_a_search_minute_by_minute_finds_around_every_change_of_26_clocks() {
    let (mut changes, found) = (0, Cell::new(0));
    for name in ZONES {
        let zone: Tz = name.parse().unwrap();
        let mut around = transitions(zone);
        changes += around.len();
        // An ordinary day as well.
        around.push(Utc.with_ymd_and_hms(2030, 6, 12, 12, 0, 0).unwrap());
        for change in around {
            let day = change.with_timezone(&zone).date_naive();
            let days = (day.pred_opt().unwrap(), day + chrono::Days::new(2));
            let config = Config { cases: 2, failure_persistence: None, ..Config::default() };
            let rng = proptest::test_runner::TestRng::deterministic_rng(config.rng_algorithm);
            let result = TestRunner::new_with_rng(config, rng).run(&cases(), |case| {
                let calendar = Calendar {
                    week: case.week(),
                    away: case.spans(&case.away, change, false),
                    booked: case.spans(&case.booked, change, true),
                };
                let length = Length::try_new(case.duration, case.buffer).unwrap();
                let now = change + TimeDelta::minutes(case.now);
                let searched = Days::try_new(days.0, days.1).unwrap();
                let ours: TimeZone = name.parse().unwrap();
                let clock = WallClock::over(ours, searched.reach());
                let free = clock.free(searched, &calendar, length, now);
                found.set(found.get() + free.len());
                prop_assert_eq!(&free, &by_hand(zone, days, &calendar, length, now));
                for start in free {
                    prop_assert!(clock.is_on_grid(start));
                    let appointment = Span { from: start, to: start + length.duration() };
                    prop_assert!(clock.is_open(&calendar, appointment));
                }
                Ok(())
            });
            assert!(result.is_ok(), "{name} around {change}: {}", result.unwrap_err());
        }
    }
    println!("{changes} changes, {} free slots", found.get());
    assert!(changes > 400 && found.get() > 10_000);
}

/// Each local minute around each change: it is one instant, none, or two that need an offset.
#[test]
fn a_local_time_and_its_instant_agree_around_every_change_of_26_clocks() {
    let (mut skipped, mut doubled) = (0, 0);
    for name in ZONES {
        let (zone, ours): (Tz, TimeZone) = (name.parse().unwrap(), name.parse().unwrap());
        for change in transitions(zone) {
            for minute in -180..180 {
                let instant = change + TimeDelta::minutes(minute);
                let local = ours.local(instant);
                // A time with its offset is the same instant again.
                let moment = local.to_rfc3339().parse().unwrap();
                assert_eq!(ours.instant(moment), Ok(instant));

                // A time without its offset is decided by the number of instants that show it, found by trying every offset.
                let naive = change.naive_utc()
                    + TimeDelta::minutes(minute)
                    + TimeDelta::seconds(offset(zone, change).into());
                let shown = (-14 * 60..=14 * 60).step_by(15).filter(|ahead| {
                    let guess = (naive - TimeDelta::minutes(*ahead)).and_utc();
                    guess.with_timezone(&zone).naive_local() == naive
                });
                let read =
                    ours.instant(naive.format("%Y-%m-%dT%H:%M").to_string().parse().unwrap());
                match shown.count() {
                    0 => skipped += usize::from(read.unwrap_err().to_string().contains("skips")),
                    1 => assert!(read.is_ok()),
                    _ => doubled += usize::from(read.unwrap_err().to_string().contains("twice")),
                }
                let known = zone.from_local_datetime(&naive);
                assert_eq!(
                    read.ok(),
                    match known {
                        MappedLocalTime::Single(time) => Some(time.to_utc()),
                        _ => None,
                    }
                );
            }
        }
    }
    println!("{skipped} skipped and {doubled} doubled minutes");
    assert!(skipped > 10_000 && doubled > 10_000);
}
