//! A merchant's wall clock, and the instants that it shows.

use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, Datelike as _, FixedOffset, MappedLocalTime, NaiveDateTime, Offset as _,
    TimeZone as _, Utc,
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A time zone of the IANA database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeZone(chrono_tz::Tz);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("time zone must be one of the IANA database, such as Asia/Tokyo")]
pub struct UnknownTimeZone;

/// A time as a client writes it: an instant when it has an offset, otherwise a wall-clock time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Instant(DateTime<Utc>),
    Local(NaiveDateTime),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("time must be like 2030-01-31T09:00 on the merchant's clock, or 2030-01-31T09:00:00+09:00")]
pub struct InvalidMoment;

/// A wall-clock time that does not name exactly one instant, because the clock changes that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LocalTimeError {
    #[error("time does not exist: the merchant's clock skips it on this day")]
    Nonexistent,
    #[error("time is ambiguous: the merchant's clock shows it twice on this day; add the offset")]
    Ambiguous,
}

impl TimeZone {
    pub fn name(self) -> &'static str {
        self.0.name()
    }

    /// Returns the one instant that `moment` names.
    pub fn instant(self, moment: Moment) -> Result<DateTime<Utc>, LocalTimeError> {
        let local = match moment {
            Moment::Instant(instant) => return Ok(instant),
            Moment::Local(local) => local,
        };
        match self.instants(local) {
            MappedLocalTime::Single(time) => Ok(time),
            MappedLocalTime::Ambiguous(..) => Err(LocalTimeError::Ambiguous),
            MappedLocalTime::None => Err(LocalTimeError::Nonexistent),
        }
    }

    /// Returns the instants at which the wall clock shows `local`, by the IANA database of this build.
    pub fn instants(self, local: NaiveDateTime) -> MappedLocalTime<DateTime<Utc>> {
        self.0.from_local_datetime(&local).map(|time| time.to_utc())
    }

    /// Returns the wall-clock time at `instant`, with its offset.
    pub fn local(self, instant: DateTime<Utc>) -> DateTime<FixedOffset> {
        instant.with_timezone(&self.0).fixed_offset()
    }

    /// Returns the seconds that the wall clock is ahead of UTC.
    pub fn offset_at(self, instant: DateTime<Utc>) -> i32 {
        self.0.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc()
    }
}

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    fn from_str(name: &str) -> Result<Self, UnknownTimeZone> {
        name.parse().map(Self).map_err(|_| UnknownTimeZone)
    }
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Instant(instant.to_utc()));
        }
        let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
        let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        // Otherwise an offset could leave chrono's range.
        local.filter(|l| (1..=9999).contains(&l.year())).map(Self::Local).ok_or(InvalidMoment)
    }
}

/// A time of day, 00:00 to 24:00; 24:00 is the end of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WallTime(u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("time of day must be 00:00 to 24:00")]
pub struct InvalidWallTime;

impl WallTime {
    const MIDNIGHT: u16 = 24 * 60;

    /// Converts minutes since the beginning of the day.
    pub fn from_minute(minute: i32) -> Result<Self, InvalidWallTime> {
        let minute = u16::try_from(minute).map_err(|_| InvalidWallTime)?;
        if minute > Self::MIDNIGHT { Err(InvalidWallTime) } else { Ok(Self(minute)) }
    }

    pub fn minute(self) -> i32 {
        self.0.into()
    }
}

impl FromStr for WallTime {
    type Err = InvalidWallTime;

    fn from_str(text: &str) -> Result<Self, InvalidWallTime> {
        let two_digits = |text: &str| match text.as_bytes() {
            [a @ b'0'..=b'9', b @ b'0'..=b'9'] => {
                Ok(i32::from(a - b'0') * 10 + i32::from(b - b'0'))
            }
            _ => Err(InvalidWallTime),
        };
        let (hours, minutes) = text.split_once(':').ok_or(InvalidWallTime)?;
        let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
        if minutes > 59 { Err(InvalidWallTime) } else { Self::from_minute(hours * 60 + minutes) }
    }
}

impl TryFrom<String> for WallTime {
    type Error = InvalidWallTime;

    fn try_from(text: String) -> Result<Self, InvalidWallTime> {
        text.parse()
    }
}

impl From<WallTime> for String {
    fn from(time: WallTime) -> Self {
        time.to_string()
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_one_of_the_iana_database() {
        assert_eq!("Asia/Tokyo".parse::<TimeZone>().unwrap().name(), "Asia/Tokyo");
        for bad in ["Mars/Base", "../etc/passwd", "", "asia/tokyo", "UTC\0"] {
            assert_eq!(bad.parse::<TimeZone>(), Err(UnknownTimeZone), "{bad:?}");
        }
    }

    #[test]
    fn a_skipped_time_does_not_exist_and_a_doubled_one_needs_its_offset() {
        let berlin: TimeZone = "Europe/Berlin".parse().unwrap();
        let instant =
            |text: &str| berlin.instant(text.parse().unwrap()).map(|time| time.to_rfc3339());

        assert_eq!(instant("2030-03-31T02:30"), Err(LocalTimeError::Nonexistent));
        assert_eq!(instant("2030-10-27T02:30"), Err(LocalTimeError::Ambiguous));
        assert_eq!(instant("2030-10-27T02:30:00+02:00").unwrap(), "2030-10-27T00:30:00+00:00");
        assert_eq!(instant("2030-10-27T02:30:00+01:00").unwrap(), "2030-10-27T01:30:00+00:00");
        assert_eq!(instant("2030-06-01T09:00:00").unwrap(), "2030-06-01T07:00:00+00:00");
    }

    #[test]
    fn a_time_of_day_reads_back_and_a_wrong_one_is_refused() {
        for good in ["00:00", "09:05", "23:59", "24:00"] {
            assert_eq!(good.parse::<WallTime>().unwrap().to_string(), good);
        }
        for bad in ["24:01", "25:00", "9:00", "09:60", "-1:00", "+9:00", "0900", "", "09:00:00"] {
            assert_eq!(bad.parse::<WallTime>(), Err(InvalidWallTime), "{bad:?}");
        }
    }
}
