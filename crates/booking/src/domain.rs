//! The rules of appointments, as plain values and functions.

mod interval;
mod local;
mod offer;
mod slots;
mod week;

use std::fmt;
use std::str::FromStr;

pub use interval::{Interval, InvalidInterval, OutsideBookingWindow};
pub use local::{
    InvalidMoment, InvalidWallTime, LocalTimeError, Moment, TimeZone, UnknownTimeZone, WallTime,
};
pub use offer::{Currency, InvalidCurrency, InvalidLength, InvalidNotice, Length, Notice, Service};
pub use slots::{Calendar, Days, InvalidDays, WallClock};
pub use week::{InvalidClosure, InvalidWeek, Shift, Span, Week};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

/// An appointment of a member with one of a merchant's staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Booking {
    pub booking_id: Uuid,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub member_id: Uuid,
    /// UTC.
    pub starts_at: DateTime<Utc>,
    /// UTC; the first instant that is free again.
    pub ends_at: DateTime<Utc>,
    pub status: Status,
    /// In the minor unit of the merchant's currency.
    pub price_minor: i64,
    pub created_at: DateTime<Utc>,
}

/// Where a booking stands. `held`, `confirmed` and `completed` hold the slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Held,
    Confirmed,
    Completed,
    Cancelled,
    NoShow,
}

/// A booking in this state cannot go there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a {from} booking cannot become {to}")]
pub struct InvalidTransition {
    from: Status,
    to: Status,
}

impl Status {
    const ALL: [Self; 5] =
        [Self::Held, Self::Confirmed, Self::Completed, Self::Cancelled, Self::NoShow];

    /// The word for it on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Confirmed => "confirmed",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::NoShow => "no_show",
        }
    }

    /// The service was given.
    pub fn complete(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Confirmed => Ok(Self::Completed),
            Self::Held | Self::Completed | Self::Cancelled | Self::NoShow => {
                Err(InvalidTransition { from: self, to: Self::Completed })
            }
        }
    }

    /// It will not take place, and its slot is free again.
    pub fn cancel(self) -> Result<Self, InvalidTransition> {
        match self {
            Self::Held | Self::Confirmed => Ok(Self::Cancelled),
            Self::Completed | Self::Cancelled | Self::NoShow => {
                Err(InvalidTransition { from: self, to: Self::Cancelled })
            }
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown booking status")]
pub struct UnknownStatus;

impl FromStr for Status {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, UnknownStatus> {
        Self::ALL.into_iter().find(|status| status.as_str() == word).ok_or(UnknownStatus)
    }
}

/// What a booking costs, in the minor unit of the merchant's currency. Zero is allowed: it earns
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price(i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a price is 0 to {} minor units", Price::MAX)]
pub struct InvalidPrice;

impl Price {
    /// The database has the same limit, as `booking_price_range`.
    pub const MAX: i64 = 1_000_000_000;

    pub fn try_new(minor: i64) -> Result<Self, InvalidPrice> {
        if (0..=Self::MAX).contains(&minor) { Ok(Self(minor)) } else { Err(InvalidPrice) }
    }

    pub fn minor(self) -> i64 {
        self.0
    }
}

/// A merchant's or a staff member's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a name is 1 to {} characters, none of them a control character", Name::MAX_CHARS)]
pub struct InvalidName;

impl Name {
    const MAX_CHARS: usize = 100;

    /// Surrounding white space does not count.
    pub fn try_new(text: &str) -> Result<Self, InvalidName> {
        let text = text.trim();
        let length_ok = (1..=Self::MAX_CHARS).contains(&text.chars().count());
        if !length_ok || text.chars().any(char::is_control) {
            return Err(InvalidName);
        }
        Ok(Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_confirmed_booking_is_completed() {
        let completable: Vec<_> =
            Status::ALL.into_iter().filter(|status| status.complete().is_ok()).collect();
        assert_eq!(completable, [Status::Confirmed]);
    }

    #[test]
    fn what_is_over_is_not_cancelled() {
        let cancellable: Vec<_> =
            Status::ALL.into_iter().filter(|status| status.cancel().is_ok()).collect();
        assert_eq!(cancellable, [Status::Held, Status::Confirmed]);
    }

    #[test]
    fn every_status_reads_back_from_its_word() {
        for status in Status::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert_eq!("CONFIRMED".parse::<Status>(), Err(UnknownStatus));
    }

    #[test]
    fn a_name_is_short_and_printable() {
        assert_eq!(Name::try_new("  Ann ").unwrap().as_str(), "Ann");
        assert_eq!(Name::try_new(&"é".repeat(100)).unwrap().as_str().chars().count(), 100);
        for bad in ["", "  ", "a\0b", "a\u{1b}[31m", &"a".repeat(101)] {
            assert_eq!(Name::try_new(bad), Err(InvalidName), "{bad:?}");
        }
    }

    #[test]
    fn a_price_is_bounded() {
        assert_eq!(Price::try_new(0).map(Price::minor), Ok(0));
        assert_eq!(Price::try_new(Price::MAX).map(Price::minor), Ok(Price::MAX));
        for bad in [-1, Price::MAX + 1, i64::MIN, i64::MAX] {
            assert_eq!(Price::try_new(bad), Err(InvalidPrice));
        }
    }
}
