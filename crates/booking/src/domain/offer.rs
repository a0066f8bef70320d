//! The services of a merchant, their length and currency, and the cancellation notice.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use utoipa::ToSchema;
use uuid::Uuid;

/// A service that members can book.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    pub service_id: Uuid,
    pub merchant_id: Uuid,
    pub name: String,
    pub duration_minutes: i32,
    /// Minutes afterwards during which the staff member cannot be booked.
    pub buffer_minutes: i32,
    /// Price in the minor unit of the merchant's currency.
    pub price_minor: i64,
    /// Incremented with each change; in quotation marks it is the ETag.
    pub version: i64,
}

/// The duration of a service and its buffer: at least 5 minutes, together at most 12 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    duration: i32,
    buffer: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("service must take at least 5 minutes, and at most 12 hours with its buffer")]
pub struct InvalidLength;

impl Length {
    /// Takes minutes. The constraint `service_length` has the same limits.
    pub fn try_new(duration: i32, buffer: i32) -> Result<Self, InvalidLength> {
        let most = 12 * 60;
        let known = (5..=most).contains(&duration) && (0..=most).contains(&buffer);
        if known && duration + buffer <= most {
            Ok(Self { duration, buffer })
        } else {
            Err(InvalidLength)
        }
    }

    pub fn duration_minutes(self) -> i32 {
        self.duration
    }

    pub fn buffer_minutes(self) -> i32 {
        self.buffer
    }

    pub fn duration(self) -> TimeDelta {
        TimeDelta::minutes(self.duration.into())
    }

    pub fn buffer(self) -> TimeDelta {
        TimeDelta::minutes(self.buffer.into())
    }
}

/// The code of a currency, such as JPY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Currency(String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("currency must be three capital letters of ISO 4217, such as JPY")]
pub struct InvalidCurrency;

impl Default for Currency {
    /// Returns the yen.
    fn default() -> Self {
        Self("JPY".to_owned())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(code: &str) -> Result<Self, InvalidCurrency> {
        Self::try_new(code)
    }
}

impl Currency {
    pub fn try_new(code: &str) -> Result<Self, InvalidCurrency> {
        if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            Ok(Self(code.to_owned()))
        } else {
            Err(InvalidCurrency)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The cancellation notice: the minutes before the start until which a member may cancel or move a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice(i32);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cancellation notice must be 0 to {} minutes", Notice::MAX)]
pub struct InvalidNotice;

impl Notice {
    /// 30 days. The constraint `merchant_cancellation_notice_range` has the same limit.
    pub const MAX: i32 = 30 * 24 * 60;

    pub fn try_new(minutes: i32) -> Result<Self, InvalidNotice> {
        if (0..=Self::MAX).contains(&minutes) { Ok(Self(minutes)) } else { Err(InvalidNotice) }
    }

    pub fn minutes(self) -> i32 {
        self.0
    }

    /// Refuses a change when the notice period has begun.
    pub fn allows(self, starts_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), TooLate> {
        let ahead = starts_at.signed_duration_since(now);
        if ahead < TimeDelta::minutes(self.0.into()) { Err(TooLate) } else { Ok(()) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cancellation window is closed; ask the merchant")]
pub struct TooLate;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_fits_into_what_a_booking_may_occupy() {
        for (duration, buffer) in [(5, 0), (720, 0), (30, 690)] {
            assert!(Length::try_new(duration, buffer).is_ok());
        }
        for (duration, buffer) in [(4, 0), (721, 0), (30, 691), (30, -1), (i32::MAX, i32::MAX)] {
            assert_eq!(Length::try_new(duration, buffer), Err(InvalidLength));
        }
    }

    #[test]
    fn a_currency_is_three_capitals() {
        assert_eq!(Currency::try_new("JPY").unwrap().as_str(), "JPY");
        for bad in ["", "jpy", "JPYX", "J Y", "¥"] {
            assert_eq!(Currency::try_new(bad), Err(InvalidCurrency));
        }
    }
}
