//! The rules of appointments, as plain values and functions.

mod actor;
mod event;
mod failure;
mod interval;
mod local;
mod notification;
mod offer;
mod position;
mod rezone;
mod saga;
mod slots;
mod status;
mod terms;
mod week;

pub use actor::{Actor, Owner};
pub use event::{
    BOOKING_COMPLETED, BookingCompleted, MERCHANT_REGISTERED, Membership, NoEarning, OWNER_LEFT,
    STAFF_LINKED, STAFF_UNLINKED,
};
pub use failure::{Failure, UnknownFailure};
pub use interval::{Interval, InvalidInterval, OutsideBookingWindow};
pub use local::{
    InvalidMoment, InvalidWallTime, LocalTimeError, Moment, TimeZone, UnknownTimeZone, WallTime,
};
pub use notification::{
    Delivery, InvalidLineUserId, LineCode, LineUserId, Occasion, UnknownOccasion,
};
pub use offer::{
    Currency, InvalidCurrency, InvalidLength, InvalidNotice, Length, Notice, Service, TooLate,
};
pub use position::{InvalidPosition, Position};
pub use rezone::{Kept, Promise, Rules, in_order};
pub use saga::{Change, Saga, SagaState, Step, StepAnswer, UnknownSagaState};
pub use slots::{Calendar, Days, InvalidDays, WallClock};
pub use status::{InvalidTransition, Status, UnknownStatus};
pub use terms::{Bookable, MerchantClosed, Terms};
pub use week::{InvalidClosure, InvalidWeek, Shift, Span, Week};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

/// An appointment of a member with one of a merchant's staff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Booking {
    pub booking_id: Uuid,
    pub merchant_id: Uuid,
    pub staff_id: Uuid,
    pub member_id: Uuid,
    /// The service; absent when the booking was made by its times alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_id: Option<Uuid>,
    /// UTC.
    pub starts_at: DateTime<Utc>,
    /// UTC; the first instant that is free again.
    pub ends_at: DateTime<Utc>,
    /// Minutes after the end during which the staff member stays occupied.
    #[serde(skip)]
    pub buffer_minutes: i32,
    pub status: Status,
    /// The end of a hold, by the database's clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// Price in the minor unit of the merchant's currency.
    pub price_minor: i64,
    /// Points that paid a part of the price.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub points_paid: i64,
    /// The part of the price that was paid with points.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub points_value_minor: i64,
    pub created_at: DateTime<Utc>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Booking {
    /// Returns the time during which the staff member is occupied: the appointment and its buffer.
    pub fn occupied(&self) -> Span {
        let buffer = TimeDelta::minutes(self.buffer_minutes.into());
        Span { from: self.starts_at, to: self.ends_at + buffer }
    }
}

/// A price in the minor unit of the merchant's currency. A price of zero is valid and earns no points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price(i64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("price must be 0 to {} minor units", Price::MAX)]
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
#[error("name must be 1 to {} characters without control characters", Name::MAX_CHARS)]
pub struct InvalidName;

impl Name {
    const MAX_CHARS: usize = 100;

    /// Trims surrounding white space.
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
